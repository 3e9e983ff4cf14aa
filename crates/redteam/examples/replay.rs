//! Replays tasks of agents, honest and attacked, and prints what was stopped:
//! `cargo run --release -p bartizan-redteam --example replay -- [--each] [--all-guards]`.
//!
//! By itself with the guard `flow` alone, so that no wording counts; `--all-guards` leaves the others on. `--each` says of each run
//! that did not go well what happened.

use std::io::Write;

use bartizan_redteam::{replay, sums};

/// Guards that look at wordings.
const WORDINGS: &str = "guard.prompt_injection.enabled = false\nguard.tool_poisoning.enabled = false\nguard.hidden_text.enabled = false\n\
                        guard.secrets.enabled = false\n";

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let more = if has("--all-guards") { "" } else { WORDINGS };
    let mut out = std::io::stdout();
    let runs = replay(more, |run| {
        if has("--each") && !run.is_good {
            let kind = if run.is_attack { "attack" } else { "honest" };
            writeln!(std::io::stderr(), "{kind} {} / {}: stopped {:?}", run.domain, run.id, run.stopped).ok();
        }
    })
    .await?;
    writeln!(out, "| domain | attacks stopped | honest tasks untouched |\n|---|--:|--:|")?;
    let mut all = [(0, 0); 2];
    for (domain, [attacks, benign]) in sums(&runs) {
        writeln!(out, "| {domain} | {} of {} | {} of {} |", attacks.0, attacks.1, benign.0, benign.1)?;
        for (sum, part) in all.iter_mut().zip([attacks, benign]) {
            *sum = (sum.0 + part.0, sum.1 + part.1);
        }
    }
    let share = |(good, all): (usize, usize)| format!("{good} of {all} ({:.1} %)", 100.0 * good as f64 / all as f64);
    writeln!(out, "| all | {} | {} |", share(all[0]), share(all[1]))?;
    Ok(())
}
