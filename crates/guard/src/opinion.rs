//! Doubtful texts, and what layers say of them that take too long to be asked while a message is judged: a model of the
//! operator's, a judge over the network.
//!
//! The built-in layers look at everything. What they are not sure about they report as a [`Doubt`]; whoever runs the pipeline
//! asks the slow layers about it and judges the message again with their [`Opinion`]s as evidence. So judging stays a
//! pure function of the message and of what is known, and a layer that fails leaves the decision to the others.

use std::collections::BTreeSet;

use bartizan_detect::Kind;
use bartizan_mcp::NodeId;
use serde::{Deserialize, Serialize};

/// A layer that takes its time. A further one is a line here, a table in the configuration and a provider in the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A language model that is asked over HTTP.
    Judge,
    /// A classifier of the operator's on this machine.
    Model,
}

impl Layer {
    /// All of them.
    pub const ALL: [Layer; 2] = [Layer::Judge, Layer::Model];

    /// Its name in the configuration, in records and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Judge => "judge",
            Layer::Model => "model",
        }
    }
}

/// What is asked about, and whose word counts for what.
#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    /// From which score of the built-in layers on a text is doubtful; one in which a rule matched is in any case.
    pub from: f32,
    /// Bytes of one text that are shown.
    pub bytes: usize,
    /// The layers that are asked.
    pub layers: Vec<Terms>,
}

/// What the word of one layer counts for.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Which one.
    pub layer: Layer,
    /// The kinds of text that it is shown.
    pub kinds: BTreeSet<Kind>,
    /// The servers whose texts it is shown, by name; all of them if there are none.
    pub servers: BTreeSet<String>,
    /// From which probability on its word is acted upon.
    pub acts_from: f32,
    /// Whether its word also clears what the classifier alone holds for an attack, and not surely.
    pub clears: bool,
    /// Whether nothing doubtful passes without its word.
    pub required: bool,
}

impl Terms {
    /// Whether it is shown texts of that kind from that server.
    #[must_use]
    pub fn covers(&self, kind: Kind, server: &str) -> bool {
        self.kinds.contains(&kind) && (self.servers.is_empty() || self.servers.contains(server))
    }
}

/// Which text an opinion is about: a digest of the whole of it and of what it is.
pub type TextKey = [u8; 16];

/// A text that the built-in layers are not sure about.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubt {
    /// Which text.
    pub text: TextKey,
    /// What it is.
    pub kind: Kind,
    /// How likely the built-in layers hold it for an attack, from 0 to 1.
    pub score: f32,
    /// What of it is shown to whoever is asked: windows around what was found. It is untrusted.
    pub excerpt: Box<str>,
    /// Whether it does not pass, whatever anybody says of it.
    pub is_settled: bool,
    /// Where it stands.
    pub(crate) at: NodeId,
    /// The element of a list that it belongs to.
    pub(crate) element: Option<NodeId>,
    /// Rules that do not settle it.
    pub(crate) open: Vec<&'static str>,
}

impl Doubt {
    /// Doubts that are told apart in one message; of more, those with the highest scores.
    pub const MOST: usize = 64;
}

/// What one layer says of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Which text.
    pub text: TextKey,
    /// Who.
    pub layer: Layer,
    /// What.
    pub said: Said,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// How likely the text gives the assistant orders that its user did not, in thousandths.
    Likely(u16),
    /// Nothing, and why.
    Nothing(Silence),
}

impl Said {
    /// From a probability; what is none says nothing.
    #[must_use]
    pub fn likely(probability: f64) -> Said {
        if !(0.0..=1.0).contains(&probability) {
            return Said::Nothing(Silence::Unreadable);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
        let thousandths = (probability * 1000.0).round() as u16;
        Said::Likely(thousandths)
    }
}

/// Why a layer said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// It did not answer in time.
    Deadline,
    /// It was asked as often, or as much, as it may be.
    Budget,
    /// It was asked about this server's texts as often, or as much, as that server's part of it comes to.
    Share,
    /// Whoever it belongs to allows no more questions for now.
    Limited,
    /// It failed so often that it is left alone for a while.
    Resting,
    /// It missed the deadline so often with texts of this server that it is not asked about them for a while.
    Slow,
    /// It is not there, or broke off.
    Unreachable,
    /// It is there and refuses to answer about this text.
    Refused,
    /// Its answer is not the one that was asked for.
    Unreadable,
    /// The message holds more doubtful texts than it is asked about.
    TooMany,
    /// It answered, and was not shown all that is doubtful.
    Part,
    /// The text does not pass, whatever it says.
    Settled,
}

impl Silence {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Silence::Deadline => "deadline",
            Silence::Budget => "budget",
            Silence::Share => "share",
            Silence::Limited => "limited",
            Silence::Resting => "resting",
            Silence::Slow => "slow",
            Silence::Unreachable => "unreachable",
            Silence::Refused => "refused",
            Silence::Unreadable => "unreadable",
            Silence::TooMany => "too_many",
            Silence::Part => "part",
            Silence::Settled => "settled",
        }
    }

    /// Whether whoever writes the texts of one server can bring it about, and so choose that nobody is asked. What makes
    /// somebody slow is in a text more often than not: one that tells a model to think at length is enough.
    #[must_use]
    pub fn is_of_the_writer(self) -> bool {
        match self {
            Silence::Deadline
            | Silence::Slow
            | Silence::Share
            | Silence::Refused
            | Silence::Unreadable
            | Silence::TooMany
            | Silence::Part => true,
            Silence::Budget | Silence::Limited | Silence::Resting | Silence::Unreachable | Silence::Settled => false,
        }
    }

    /// The same in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Silence::Deadline => "the deadline passed",
            Silence::Budget => "its budget is spent",
            Silence::Share => "this server has used up its part of the budget",
            Silence::Limited => "it allows no more questions for now",
            Silence::Resting => "it failed too often and is left alone for a while",
            Silence::Unreachable => "it cannot be reached",
            Silence::Slow => {
                "it took too long too often with texts of this server, and is left alone with them for a while"
            }
            Silence::Refused => "it refused to answer about this text",
            Silence::Unreadable => "its answer is not the one that was asked for",
            Silence::TooMany => "the message holds more doubtful texts than it is asked about",
            Silence::Part => "it was shown only a part of what is doubtful",
            Silence::Settled => "it was not asked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_probability_says_nothing() {
        assert_eq!(Said::likely(0.0), Said::Likely(0));
        assert_eq!(Said::likely(0.9996), Said::Likely(1000));
        for none in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Said::likely(none), Said::Nothing(Silence::Unreadable));
        }
    }
}
