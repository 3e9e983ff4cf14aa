//! A server that does what it says: arithmetic, temperatures and notes, with structured results, a prompt and a resource.

use serde_json::{Value, json};

use super::{Answer, Refused, Server, called, object, text};

const NOTES: &str = "notes://all";
/// As many primes as a client may ask for.
const MOST_PRIMES: u64 = 200_000;

/// Its notes, for as long as it runs.
#[derive(Default)]
pub(super) struct Honest {
    notes: Vec<String>,
}

impl Server for Honest {
    fn capabilities(&self) -> Value {
        json!({"tools": {}, "prompts": {}, "resources": {}})
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Answer, Refused> {
        match method {
            "tools/list" => Ok(tools().into()),
            "tools/call" => self.call(called(params)).map(Answer::from),
            "prompts/list" => Ok(prompts().into()),
            "prompts/get" => self.prompt(params).map(Answer::from),
            "resources/list" => {
                Ok(json!({"resources": [{"uri": NOTES, "name": "notes", "mimeType": "text/plain"}]}).into())
            }
            "resources/read" => self.read(params).map(Answer::from),
            "resources/templates/list" => Ok(json!({"resourceTemplates": []}).into()),
            other => Err(Refused::method(other)),
        }
    }
}

impl Honest {
    fn call(&mut self, (name, arguments): (&str, &Value)) -> Result<Value, Refused> {
        match name {
            "add" => {
                let sum = number(arguments, "a")? + number(arguments, "b")?;
                Ok(structured(&sum.to_string(), &json!({"sum": sum})))
            }
            "temperature" => {
                let celsius = number(arguments, "celsius")?;
                let (fahrenheit, kelvin) = (celsius.mul_add(1.8, 32.0), celsius + 273.15);
                let told = format!("{celsius} °C is {fahrenheit} °F or {kelvin} K");
                Ok(structured(&told, &json!({"fahrenheit": fahrenheit, "kelvin": kelvin})))
            }
            "primes" => {
                let count = arguments.get("count").and_then(Value::as_u64).filter(|count| *count <= MOST_PRIMES);
                let count = count.ok_or_else(|| Refused::params(format!("count: 0 to {MOST_PRIMES}")))?;
                Ok(text(&primes(usize::try_from(count).unwrap_or_default())))
            }
            "note" => {
                let note = arguments.get("text").and_then(Value::as_str);
                self.notes.push(note.ok_or_else(|| Refused::params("text: a string"))?.to_owned());
                Ok(text(&format!("saved as note {}", self.notes.len())))
            }
            "notes" => Ok(text(&self.notes.join("\n"))),
            "minutes" => {
                let said = arguments.get("conversation").and_then(Value::as_str).unwrap_or_default();
                Ok(text(&format!("{} people, {} words", said.lines().count(), said.split_whitespace().count())))
            }
            other => Err(Refused::params(format!("there is no tool {other}"))),
        }
    }

    fn prompt(&self, params: &Value) -> Result<Value, Refused> {
        if params.get("name").and_then(Value::as_str) != Some("summarise") {
            return Err(Refused::params("there is no such prompt"));
        }
        let words = format!("Summarise these notes in one sentence:\n{}", self.notes.join("\n"));
        Ok(json!({"messages": [{"role": "user", "content": {"type": "text", "text": words}}]}))
    }

    fn read(&self, params: &Value) -> Result<Value, Refused> {
        if params.get("uri").and_then(Value::as_str) != Some(NOTES) {
            return Err(Refused { code: -32_002, why: "there is no such resource".to_owned() });
        }
        Ok(json!({"contents": [{"uri": NOTES, "mimeType": "text/plain", "text": self.notes.join("\n")}]}))
    }
}

fn tools() -> Value {
    let number = json!({"type": "number"});
    json!({"tools": [
        {
            "name": "add", "description": "Adds two numbers.",
            "inputSchema": object(&json!({"a": number, "b": number})),
            "outputSchema": object(&json!({"sum": number})),
        },
        {
            "name": "temperature", "description": "Converts degrees Celsius.",
            "inputSchema": object(&json!({"celsius": number})),
            "outputSchema": object(&json!({"fahrenheit": number, "kelvin": number})),
        },
        {
            "name": "primes", "description": "Lists the first prime numbers.",
            "inputSchema": object(&json!({"count": {"type": "integer", "minimum": 0, "maximum": MOST_PRIMES}})),
        },
        {
            "name": "note", "description": "Saves a note.",
            "inputSchema": object(&json!({"text": {"type": "string"}})),
        },
        {"name": "notes", "description": "Reads all notes, one a line.", "inputSchema": object(&json!({}))},
        {
            "name": "minutes", "description": "Writes the minutes of a conversation, one line for each who spoke.",
            "inputSchema": object(&json!({"conversation": {"type": "string"}})),
        },
    ]})
}

fn prompts() -> Value {
    json!({"prompts": [{"name": "summarise", "description": "Asks for a summary of the notes."}]})
}

fn structured(told: &str, value: &Value) -> Value {
    json!({"content": [{"type": "text", "text": told}], "structuredContent": value})
}

fn number(arguments: &Value, name: &str) -> Result<f64, Refused> {
    arguments.get(name).and_then(Value::as_f64).ok_or_else(|| Refused::params(format!("{name}: a number")))
}

/// The first prime numbers, by the sieve of Eratosthenes.
fn primes(count: usize) -> String {
    // The n-th prime is smaller than n (ln n + ln ln n) from the sixth on.
    let n = count.max(6) as f64;
    let bound = (n * (n.ln() + n.ln().ln())).ceil() as usize;
    let mut composite = vec![false; bound + 1];
    let mut found = Vec::with_capacity(count);
    for candidate in 2..=bound {
        if found.len() == count {
            break;
        }
        if composite.get(candidate).copied().unwrap_or(true) {
            continue;
        }
        found.push(candidate.to_string());
        composite.iter_mut().skip(candidate * candidate).step_by(candidate).for_each(|multiple| *multiple = true);
    }
    found.join(" ")
}

#[cfg(test)]
mod tests {
    use super::primes;

    #[test]
    fn primes_are_primes() {
        for (count, expected) in [(0, ""), (1, "2"), (6, "2 3 5 7 11 13"), (10, "2 3 5 7 11 13 17 19 23 29")] {
            assert_eq!(primes(count), expected);
        }
        assert!(primes(1000).ends_with(" 7919"));
    }
}
