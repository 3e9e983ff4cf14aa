//! Runs every case in `cases/`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

#[test]
fn every_case_holds() {
    let cases = common::all();
    let mut wrong = Vec::new();
    for (file, case) in &cases {
        wrong.extend(
            case.differences().into_iter().map(|difference| format!("{file}: {}\n    {difference}", case.title)),
        );
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
