//! What the gateway has asked the client on a server's behalf and is waiting to hear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_mcp::{Id, Message};
use tokio::sync::oneshot;

/// Open questions of one session, by the id under which the client was asked.
#[derive(Debug, Default, Clone)]
pub(super) struct Questions(Arc<Mutex<HashMap<Id, oneshot::Sender<Message>>>>);

/// One open question; nobody waits for its answer once this is gone.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: Id,
    answer: oneshot::Receiver<Message>,
    all: Questions,
}

impl Questions {
    /// Opens a question under an id that no other has.
    pub(super) fn open(&self, id: &str) -> Question {
        let (sender, answer) = oneshot::channel();
        let id = Id::from(id);
        self.lock().insert(id.clone(), sender);
        Question { id, answer, all: self.clone() }
    }

    /// Hands over the client's response; gives it back if it answers no open question.
    pub(super) fn answer(&self, response: Message) -> Result<(), Message> {
        let waiting = response.id().and_then(|id| self.lock().remove(id));
        match waiting {
            Some(waiting) => waiting.send(response),
            None => Err(response),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, oneshot::Sender<Message>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// The client's response.
    pub(super) async fn answered(&mut self) -> Option<Message> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    fn response(id: &str) -> Message {
        Message::parse(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#), &Limits::default()).unwrap()
    }

    #[tokio::test]
    async fn each_question_is_answered_once_and_only_while_somebody_waits() {
        let questions = Questions::default();
        let (mut first, second) = (questions.open("a"), questions.open("b"));
        assert!(questions.answer(response("1")).is_err(), "never asked");
        assert!(questions.answer(response(r#""a""#)).is_ok());
        assert!(questions.answer(response(r#""a""#)).is_err(), "answered already");
        assert_eq!(first.answered().await.unwrap().id(), Some(&Id::from("a")));
        drop(second);
        assert!(questions.answer(response(r#""b""#)).is_err(), "nobody waits");
        drop(first);
        assert!(questions.lock().is_empty());
    }
}
