//! Who agrees to what is asked about, and for how long that is good.

use std::time::Duration;

use bartizan_policy::{Approver, Policies, Roles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::ApprovalTable;
use crate::problems::Problems;
use crate::tree::{self, Node};

/// Who agrees, and for how long that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who may agree, where a policy does not say; whoever asks if there are none.
    pub approvers: Vec<Approver>,
    /// Whether nobody may agree to what they ask for themselves.
    pub four_eyes: bool,
    /// How long a request waits, and how long what was approved is good.
    pub expires: Duration,
    /// How long a call is held while somebody decides.
    pub wait: Duration,
    /// How old a proof of who signs in may be.
    pub fresh: Duration,
    /// How clients learn of it whose token would be proof enough if it said that of a later sign-in.
    pub step_up: StepUp,
    /// Requests of one principal that may wait at a time.
    pub pending: usize,
}

/// How clients learn that a token of a later sign-in would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepUp {
    /// By a header of the answer that says where to give the proof.
    #[default]
    Page,
    /// By the status 401 (RFC 9470), for clients that cannot be asked to go to an address.
    Challenge,
}

impl Default for Approval {
    fn default() -> Self {
        let table = ApprovalTable::default();
        Approval {
            approvers: Vec::new(),
            four_eyes: table.four_eyes,
            expires: table.expires.0,
            wait: Duration::ZERO,
            fresh: table.fresh.0,
            step_up: table.step_up,
            pending: table.pending,
        }
    }
}

/// The longest that a request waits.
const LONGEST: Duration = Duration::from_hours(24);
/// The longest that a call is held: clients do not wait much longer for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(crate) fn approval(
    table: &ApprovalTable,
    policies: Option<&Policies>,
    root: &Node<'_>,
    problems: &mut Problems,
) -> Approval {
    let none = Roles::default();
    let roles = policies.map_or(&none, Policies::roles);
    let mut approvers = Vec::new();
    for (index, text) in table.approvers.iter().enumerate() {
        let place = || tree::place(root, &["approval", "approvers", &index.to_string()]);
        match Approver::parse(text) {
            Some(approver) => {
                if let Err(why) = roles.check_approver(&approver) {
                    problems.error(place(), why);
                }
                approvers.push(approver);
            }
            None => {
                let problem = problems.error(place(), format!("`{text}` names nobody who could agree"));
                problem.help("write user:NAME, role:NAME or group:NAME");
            }
        }
    }
    let wait = table.wait.map_or(Duration::ZERO, |wait| wait.0);
    for (key, value, longest, said) in [
        ("expires", table.expires.0, LONGEST, "a day"),
        ("wait", wait, LONGEST_WAIT, "a minute"),
        ("fresh", table.fresh.0, LONGEST, "a day"),
    ] {
        if value > longest {
            problems.error(tree::place(root, &["approval", key]), format!("`{key}` is more than {said}"));
        }
    }
    if table.pending == 0 {
        problems.error(tree::place(root, &["approval", "pending"]), "`pending` has to be at least 1");
    }
    let ApprovalTable { four_eyes, expires, fresh, step_up, pending, .. } = *table;
    Approval { approvers, four_eyes, expires: expires.0, wait, fresh: fresh.0, step_up, pending }
}
