//! Replays tasks of agents, honest and attacked, and prints what was stopped:
//! `cargo run --release -p bartizan-redteam --example replay -- [--each] [--all-guards]`.
//!
//! Once knowing nothing but the definitions of the tools, and once with the few lines that an operator has configured for each domain. By
//! itself with the guard `flow` alone, so that no wording counts; `--all-guards` leaves the others on. `--each` says of each run
//! that did not go well what happened.

use std::io::Write;

use bartizan_redteam::{Knowing, Run, replay, sums};

/// Guards that look at wordings.
const WORDINGS: &str = "guard.prompt_injection.enabled = false\nguard.tool_poisoning.enabled = false\nguard.hidden_text.enabled = false\n\
                        guard.secrets.enabled = false\n";

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let more = if has("--all-guards") { "" } else { WORDINGS };
    let mut out = std::io::stdout();
    for (knowing, title) in [
        (Knowing::Definitions, "Knowing nothing but the definitions of the tools"),
        (Knowing::Operator, "With what an operator has configured"),
    ] {
        let runs = replay(knowing, more, |run| {
            if has("--each") && !run.is_good {
                let kind = if run.is_attack { "attack" } else { "honest" };
                let (domain, id) = (&run.domain, &run.id);
                writeln!(std::io::stderr(), "{knowing:?}: {kind} {domain} / {id}: stopped {:?}", run.stopped).ok();
            }
        })
        .await?;
        table(&mut out, title, &runs)?;
    }
    Ok(())
}

fn table(out: &mut impl Write, title: &str, runs: &[Run]) -> std::io::Result<()> {
    writeln!(out, "{title}:\n\n| domain | attacks stopped | honest tasks untouched |\n|---|--:|--:|")?;
    let mut all = [(0, 0); 2];
    for (domain, [attacks, benign]) in sums(runs) {
        writeln!(out, "| {domain} | {} of {} | {} of {} |", attacks.0, attacks.1, benign.0, benign.1)?;
        for (sum, part) in all.iter_mut().zip([attacks, benign]) {
            *sum = (sum.0 + part.0, sum.1 + part.1);
        }
    }
    let share = |(good, all): (usize, usize)| format!("{good} of {all} ({:.1} %)", 100.0 * good as f64 / all as f64);
    writeln!(out, "| all | {} | {} |\n", share(all[0]), share(all[1]))
}
