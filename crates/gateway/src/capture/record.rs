//! One record: a message with all that its judgement rested on, and what was decided.

use bartizan_guard::{Case, CaseError, Decision, Known, Verdict};
use serde::{Deserialize, Serialize};

/// A message that was judged, and what became of it.
#[derive(Debug)]
pub struct Record {
    /// The entry of the audit log about it; none if that could not be written.
    pub entry: Option<String>,
    /// The session in which it came, as the audit log names it.
    pub session: Option<String>,
    /// What its client calls itself.
    pub client: Option<String>,
    /// What was decided.
    pub said: Said,
    /// The message and what its judgement rested on.
    pub case: Case,
}

/// What was decided about a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// `allow`, `transform`, `approve` or `deny`.
    pub decision: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Its reason, which may name what the message says.
    pub why: Option<String>,
    /// The version of the policies.
    pub policies: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    entry: Option<String>,
    /// Not recorded before there was somebody to ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(flatten)]
    said: Said,
}

impl Said {
    /// What a verdict says, by that version of the policies.
    #[must_use]
    pub fn of(verdict: &Verdict, policies: Option<&str>) -> Said {
        let (rule, why) = match &verdict.decision {
            Decision::Deny(denial) => (Some(denial.rule), Some(&denial.why)),
            Decision::RequireApproval(asked) => (Some(asked.rule), Some(&asked.why)),
            Decision::Allow | Decision::Transform(_) => (None, None),
        };
        Said {
            decision: verdict.decision.as_str().to_owned(),
            rule: rule.map(str::to_owned),
            why: why.cloned(),
            policies: policies.map(str::to_owned),
        }
    }
}

impl Record {
    /// Its bytes: the length of what was decided in JSON, in four bytes, that, and the case.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Record { entry, session, client, said, case } = self;
        let (entry, session, client) = (entry.clone(), session.clone(), client.clone());
        let head = serde_json::to_vec(&Head { entry, session, client, said: said.clone() }).unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
        [length.as_slice(), &head, &case.to_bytes()].concat()
    }

    /// Reads what [`Record::to_bytes`] gave.
    ///
    /// # Errors
    /// If it is of another version, or something else.
    pub fn read(bytes: &[u8], known: &mut Known) -> Result<Record, CaseError> {
        let split = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
        };
        let (head, case) = split().ok_or(CaseError::Broken)?;
        // Before the head, whose form is that of the case.
        let case = Case::read(case, known)?;
        let Head { entry, session, client, said } = serde_json::from_slice(head).map_err(|_| CaseError::Broken)?;
        Ok(Record { entry, session, client, said, case })
    }
}
