#![cfg(test)]
//! Numbers that stand for numbers, wherever they stand, and that whoever is entitled gets what they stood for.

use super::*;

const CARD: &str = "4111 1111 1111 1111";
const IBAN: &str = "DE89 3704 0044 0532 0130 00";
const PHONE: &str = "+49 30 901820";

fn kinds() -> Vec<Kind> {
    Kind::all().filter(|kind| kind.has_numbers()).collect()
}

/// The arguments of a call, with what the vault has put in its place.
fn given_back(arguments: &Value, kept: &[Pseudonym]) -> (Message, Vec<Evidence>) {
    let params = json!({"name": "send", "arguments": arguments});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let call = Message::parse(call, &Limits::default()).unwrap();
    let names = names();
    let known = |tokens: Vec<Token>| {
        let find = |token: Token| Some((token, &*kept.iter().find(|held| held.token == token)?.value));
        tokens.into_iter().filter_map(find).collect::<Vec<_>>()
    };
    let numbers = known(names.numbers_in_arguments(&call, &kinds()).unwrap());
    let revealed = Revealed::new(known(names.in_arguments(&call))).and_numbers(&names, numbers.clone());
    let given = revealed.in_arguments(&call).unwrap();
    let edited = call.edited(&given.edits, &Limits::default()).unwrap();
    let named: Vec<Token> = numbers.iter().filter_map(|(token, value)| names.name_of(token.kind(), value)).collect();
    let tokens = known(names.in_arguments(&call)).into_iter().chain(numbers).map(|(token, _)| token).chain(named);
    let evidence = [Evidence::Revealed(tokens.collect()), Evidence::Given(given.places.into())];
    (edited, evidence.into_iter().chain([Evidence::Names(names)]).collect())
}

fn arguments(call: &Message) -> Value {
    serde_json::from_str(call.params().unwrap().get("arguments").unwrap().raw()).unwrap()
}

/// What of a result is left, and what is kept of it.
fn hidden(how: How, text: &str, data: &Value) -> (String, Value, Vec<Pseudonym>) {
    let (left, kept) = edited(&pipeline(how, json!({"confidence": 0.4})), &result(&json!(text), data));
    let left: Value = serde_json::from_str(&left).unwrap();
    let result = &left["result"];
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["structuredContent"].clone(), kept)
}

fn digits_of(value: &Value) -> String {
    bartizan_pseudonym::digits(&value.to_string())
}

#[test]
fn numbers_stand_for_numbers_and_come_back_as_they_were() {
    for (text, data, gone) in [
        (format!("card {CARD}, once more 4111-1111-1111-1111"), json!({"card": 4111111111111111_u64}), "4111111111111111"),
        (format!("pay to {IBAN}"), json!({"iban": "DE89370400440532013000"}), "370400440532013000"),
        (format!("call {PHONE} or 0049 30 901820"), json!({"phone": "+49 (0)30 901820"}), "30901820"),
        ("account 123456789012".to_owned(), json!({"account": 123456789012_u64}), "123456789012"),
        ("{\"card\": 4111111111111111, \"n\": 1}".to_owned(), json!({}), "4111111111111111"),
        ("{\"card\":4111111111111111}\n{\"card\":5500005555555559}\n".to_owned(), json!({}), "4111111111111111"),
        ("Here:\n```json\n{\"account\": 123456789012}\n```\n".to_owned(), json!({}), "123456789012"),
        (json!({"in": "{\"account\":123456789012,\"card\":\"4111111111111111\"}"}).to_string(), json!({}), "123456789012"),
        ("passport no. X1234567".to_owned(), json!({"passport": "X1234567", "ssn": "536-90-4399"}), "1234567"),
    ] {
        let (shown, told, kept) = hidden(How::Preserve, &text, &data);
        for value in [&json!(shown), &told] {
            assert!(!digits_of(value).contains(gone), "{gone} is shown: {value}");
        }
        assert_ne!(shown, text);
        let shape = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
        assert_eq!(shape(&shown), shape(&text), "{shown}");
        assert_eq!(shape(&told.to_string()), shape(&data.to_string()), "{told}");
        let (call, evidence) = given_back(&json!({"text": shown, "data": told}), &kept);
        assert_eq!(arguments(&call), json!({"text": text, "data": data}));
        // It is not hidden again on its way.
        let verdict = judge(&pipeline(How::Preserve, json!({"confidence": 0.4})), &call, &evidence);
        assert!(matches!(verdict.decision, Decision::Allow), "{text}: {verdict:?}");
    }
}

#[test]
fn numbers_are_seen_however_json_writes_them() {
    for number in ["4111111111111111", "-4111111111111111.0", "4.111111111111111e15", "4111111111111111.00", "0.4111111111111111e16", "41111111111111110E-1"] {
        for (place, message) in [
            ("data", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"structuredContent":{{"card":{number}}}}}}}"#)),
            ("text", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{{\"card\":{number},\"b\":[]}}"}}]}}}}"#)),
            ("input", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","inputResponses":{{"a":{{"action":"accept","content":{{"card":{number}}}}}}}}}}}"#)),
            ("answer", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"action":"accept","content":{{"card":{number}}}}}}}"#)),
            ("question", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{{"message":"ok?","requestedSchema":{{"properties":{{"card":{{"default":{number}}}}}}}}}}}"#)),
            ("notification", format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{{"card":{number}}}}}}}"#)),
            ("error", format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":"no","data":{{"card":{number}}}}}}}"#)),
        ] {
            let message = Message::parse(message, &Limits::default()).unwrap();
            for how in [How::Mask, How::Preserve] {
                let (left, kept) = edited(&pipeline(how, json!({})), &message);
                assert!(!left.contains(number) && !bartizan_pseudonym::digits(&left).contains("41111111111"), "{place} {number}: {left}");
                assert_eq!(kept.is_empty(), how == How::Mask, "{left}");
                assert!(Message::parse(left.clone(), &Limits::default()).is_ok(), "{left}");
            }
        }
    }
}

#[test]
fn what_is_looked_up_and_what_is_no_number_of_anybody_stays() {
    let pipeline = pipeline(How::Preserve, json!({"confidence": 0.4}));
    for message in [
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":4111111111111111,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4111111111111111}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"anna@example.org"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"lat":52.5200066,"lon":13.404954,"size":12345678,"e":1.5e-7}}}"#,
    ] {
        let message = Message::parse(message, &Limits::default()).unwrap();
        assert_eq!(edited(&pipeline, &message).0.as_bytes(), &**message.bytes());
    }
}

#[test]
fn a_number_with_a_fraction_hides_nothing_that_is_found_elsewhere() {
    let (_, told, _) = hidden(How::Preserve, &format!("card {CARD} or 4111111111111111"), &json!({"a": 4111111111111111.5_f64, "b": 12345678.5}));
    assert_eq!(told, json!({"a": 0, "b": 12345678.5}));
}

/// What only its key or a word beside it tells is told by neither where it stands alone.
#[test]
fn a_number_is_hidden_without_what_separated_its_digits_too() {
    for how in [How::Preserve, How::Pseudonymise, How::Mask] {
        let data = json!({"nr": 123456789012_u64, "n2": "123456789012", "t": 4930901820_u64, "n3": 123456789013_u64});
        let (shown, told, kept) = hidden(how, &format!("account 1234 5678 9012, call {PHONE}"), &data);
        let all = digits_of(&json!([shown, told]));
        assert!(!all.contains("123456789012") && !all.contains("30901820"), "{shown} {told}");
        assert_eq!(told["n3"], data["n3"]);
        if how == How::Preserve {
            assert_eq!(arguments(&given_back(&told, &kept).0)["t"], data["t"]);
        }
    }
}

/// Digits that nobody reads as such distinguish as others do.
#[test]
fn digits_of_other_scripts_distinguish() {
    let wide = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { char::from_u32(0xFF10 + c as u32 - 0x30).unwrap() } else { c }).collect::<String>();
    let [one, two] = [wide(CARD), wide("5500 0055 5555 5559")];
    assert_ne!(form(PersonalKind::PaymentCard, &one), form(PersonalKind::PaymentCard, &two));
    let (shown, _, kept) = hidden(How::Preserve, &format!("card {one}, card {two}"), &json!({}));
    assert!(!shown.contains(&one) && !shown.contains(&two), "{shown}");
    assert_eq!(arguments(&given_back(&json!(shown), &kept).0), json!(format!("card {one}, card {two}")));
}

#[test]
fn where_no_number_can_stand_a_name_does() {
    let how = How::Preserve;
    // Kinds without digits of their own, and too few of them to hide in.
    let (shown, told, kept) = hidden(how, "write to anna@example.org", &json!({"born": "date of birth: 12.03.1984", "account": "account 00012345"}));
    assert!(shown.contains("@pseudonym.invalid"), "{shown}");
    assert!(told["born"].as_str().unwrap().contains("birth_"), "{told}");
    assert!(told["account"].as_str().unwrap().contains("account_"), "{told}");
    let (call, _) = given_back(&json!([shown, told]), &kept);
    assert_eq!(arguments(&call), json!(["write to anna@example.org", {"born": "date of birth: 12.03.1984", "account": "account 00012345"}]));
    // What a number would be stands there already: then it would be taken for the other one.
    let (shown, ..) = hidden(how, &format!("card {CARD}"), &json!({}));
    let taken = shown.replace("card ", "order ");
    let (both, told, kept) = hidden(how, &format!("card {CARD}, {taken}"), &json!({"card": 4111111111111111_u64}));
    assert!(both.contains("card card_") && told == json!({"card": 0}), "{both} {told}");
    let (call, _) = given_back(&json!(both), &kept);
    assert!(arguments(&call).as_str().unwrap().contains(CARD), "{call:?}");
}

#[test]
fn only_what_was_handed_out_is_given_back() {
    let (shown, _, kept) = hidden(How::Preserve, &format!("card {CARD}"), &json!({}));
    let number = shown.strip_prefix("card ").unwrap();
    let compact = number.replace(' ', "");
    let float = compact.parse::<f64>().unwrap();
    for (said, expected) in [
        (json!(number), json!(CARD)),
        (json!(compact), json!("4111111111111111")),
        (json!(number.replace(' ', "-")), json!("4111-1111-1111-1111")),
        (json!(compact.parse::<u64>().unwrap()), json!(4111111111111111_u64)),
        (json!(float), json!(4111111111111111_u64)),
        (json!(format!("{{\"card\":{float:e}}}")), json!("{\"card\":4111111111111111}")),
        (json!(format!("pay {number}; not {number}1")), json!(format!("pay {CARD}; not {number}1"))),
        // Whatever nobody handed out is what it is.
        (json!(5500005555555559_u64), json!(5500005555555559_u64)),
        (json!(4111111111111111_u64), json!(4111111111111111_u64)),
        (json!("5500 0055 5555 5559"), json!("5500 0055 5555 5559")),
        (json!([1, 2.5, -3e10, "1234567890", true]), json!([1, 2.5, -3e10, "1234567890", true])),
    ] {
        assert_eq!(arguments(&given_back(&said, &kept).0), expected, "{said}");
        assert_eq!(arguments(&given_back(&said, &[]).0), said);
    }
    let many = json!((0..40_000).map(|at| 1_000_000_000 + at).collect::<Vec<u64>>());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "send", "arguments": {"a": many}}}).to_string();
    let call = Message::parse(call, &Limits::default()).unwrap();
    assert_eq!(names().numbers_in_arguments(&call, &kinds()), Err(crate::Unclear::Many));
    assert_eq!(names().numbers_in_arguments(&call, &[]), Ok(Vec::new()));
}

#[test]
fn a_number_that_stands_for_two_is_not_guessed() {
    let names = names();
    let number = "1234567890";
    let tokens: Vec<Token> = names.kept_under(number, [Kind::TaxId, Kind::BankAccount]).collect();
    let (call, _) = given_back(&json!([1234567890]), &[]);
    for (second, expected) in [("9876543210", Err(crate::Unclear::Two)), ("9999999999", Ok(json!([9999999999_u64])))] {
        let values = [(tokens[0], "9999999999"), (tokens[1], second)];
        let given = Revealed::new([]).and_numbers(&names, values).in_arguments(&call);
        let given = given.map(|given| arguments(&call.edited(&given.edits, &Limits::default()).unwrap()));
        assert_eq!(given, expected);
    }
}

#[test]
fn what_was_handed_out_is_no_data_where_it_comes_back() {
    let pipeline = pipeline(How::Preserve, json!({}));
    let (shown, _, kept) = hidden(How::Preserve, &format!("card {CARD}"), &json!({}));
    let message = result(&json!(format!("noted {shown} and 5500005555555559")), &json!({}));
    let verdict = judge(&pipeline, &message, &[Evidence::Names(names())]);
    // Whoever keeps them is asked about all of them, and says which one it knows.
    let known = verdict.numbers.iter().filter(|number| {
        names().kept_under(&number.value, kinds()).any(|token| kept.iter().any(|held| held.token == token))
    });
    let standing: Vec<Box<str>> = known.map(|number| number.value.clone()).collect();
    assert_eq!((verdict.numbers.len(), &*standing), (2, &[Box::from(shown.strip_prefix("card ").unwrap())][..]));
    let verdict = judge(&pipeline, &message, &[Evidence::Names(names()), Evidence::Standing(standing.into())]);
    let Decision::Transform(edits) = verdict.decision else { panic!("{:?}", verdict.decision) };
    let left = edits.apply(message.document());
    let left = std::str::from_utf8(&left).unwrap();
    assert!(left.contains(&shown) && !left.contains("5500005555555559"), "{left}");
    assert!(verdict.pseudonyms.iter().all(|held| &*held.value == "5500005555555559"));
}

#[test]
fn what_stands_beside_what_was_given_back_is_left_if_it_is_the_same() {
    let (shown, _, kept) = hidden(How::Preserve, &format!("card {CARD}"), &json!({}));
    let (call, evidence) = given_back(&json!([shown, "card 4111-1111-1111-1111"]), &kept);
    let pipeline = pipeline(How::Preserve, json!({}));
    assert!(matches!(judge(&pipeline, &call, &evidence).decision, Decision::Allow));
    let (call, evidence) = given_back(&json!([shown, "card 5500 0055 5555 5559"]), &kept);
    let Decision::Transform(edits) = judge(&pipeline, &call, &evidence).decision else { panic!("another one is hidden") };
    let left = edits.apply(call.document());
    let left = std::str::from_utf8(&left).unwrap();
    assert!(left.contains(CARD) && !left.contains("5500 0055"), "{left}");
}

/// A street in two lines, in JSON within a text, whose break is written as an escape.
#[test]
fn an_address_with_a_break_in_it_is_given_back_as_it_was_and_not_hidden_again() {
    let address = "Hauptstraße 5\n10115 Berlin";
    for wrap in [|text: &str| json!({"address": text}).to_string(), |text: &str| json!({"in": json!({"address": text}).to_string()}).to_string()] {
        let text = wrap(address);
        let (shown, told, kept) = hidden(How::Pseudonymise, &text, &json!({"address": address}));
        let name = told["address"].as_str().unwrap();
        assert!(shown.contains(name) && !shown.contains("Berlin"), "the same name in both: {shown} {told}");
        assert_eq!(shown, wrap(name), "both levels can be read");
        assert!(kept.iter().all(|held| &*held.value == address), "{kept:?}");
        let said = json!({"text": shown, "address": name, "list": format!("see\n{shown}\n{}", json!([name]))});
        let (call, evidence) = given_back(&said, &kept);
        assert_eq!(arguments(&call), json!({"text": text, "address": address, "list": format!("see\n{text}\n{}", json!([address]))}));
        let verdict = judge(&pipeline(How::Pseudonymise, json!({"confidence": 0.4})), &call, &evidence);
        assert!(matches!(verdict.decision, Decision::Allow), "{verdict:?}");
    }
}

#[test]
fn a_value_that_is_too_long_and_too_many_of_them_are_refused_with_the_reason() {
    let pipeline = pipeline(How::Pseudonymise, json!({"also": ["url"]}));
    let reason = |text: String| match judge(&pipeline, &result(&json!(text), &json!({})), &[Evidence::Names(names())]).decision {
        Decision::Deny(denial) => denial.why,
        other => format!("{other:?}"),
    };
    let many: String = (0..Report::MAX_FINDINGS + 1).map(|at| format!("a{at}@example.org\n")).collect();
    assert!(reason(many).contains("more than 4096 findings in one message"));
    let few: String = (0..3).map(|at| format!("a{at}@example.org\n")).collect();
    assert!(reason(few).contains("Transform"));
    let url = |length| format!("see https://example.org/{} now", "a/".repeat(length));
    let (long, short) = (reason(url(2_500)), reason(url(500)));
    assert!(long.contains("longer than the 4096 bytes") && short.contains("Transform"), "{long} {short:.80}");
}

/// The digits of this card are a name in hex.
#[test]
fn what_a_number_says_in_an_encoding_goes_with_the_number() {
    for way in 0..7 {
        let text = written("4961 0932 3030 3020", way);
        let (shown, ..) = hidden(How::Preserve, &text, &json!({}));
        assert_eq!((shown.len(), shown.contains("4994")), (text.len(), true), "{shown}");
    }
    let (_, told, _) = hidden(How::Preserve, "ok", &json!({"account": 4_961_093_230_303_020_u64}));
    assert_eq!(told["account"].to_string().len(), 16, "{told}");
}

/// A number, and in which of the ways it stands in a text.
fn numbered() -> impl Strategy<Value = (String, u8)> {
    let phone = "\\+49 30 [1-9][0-9]{6}";
    let account = "[1-9][0-9]{11}";
    (prop_oneof![card(), iban(), phone, account], 0..7_u8)
}

fn written(value: &str, way: u8) -> String {
    let digits = bartizan_pseudonym::digits(value);
    let is_whole = value.chars().all(|c| c.is_ascii_digit() || c == ' ');
    let member = if is_whole && way.is_multiple_of(2) { json!({"account": digits.parse::<u64>().unwrap()}) } else { json!({"account": value}) };
    match way {
        0 | 1 => format!("{member}\n{}", json!({"n": 1})),
        2 | 3 => format!("Here:\n```json\n{member}\n```"),
        4 | 5 => json!({"in": json!({"deep": member, "line": "a\n\"b\""}).to_string()}).to_string(),
        _ => format!("account {value}."),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// What is shown is as readable as what was there and says none of it, and comes back to the letter.
    #[test]
    fn whatever_number_is_hidden_comes_back(all in proptest::collection::vec(numbered(), 1..5)) {
        for (value, way) in &all {
            let text = written(value, *way);
            let (shown, _, kept) = hidden(How::Preserve, &text, &json!({}));
            prop_assert!(!bartizan_pseudonym::digits(&shown).contains(&bartizan_pseudonym::digits(value)), "{}: {}", text, shown);
            prop_assert_eq!(shown.len(), text.len());
            let (before, after) = (Embedded::of(&text), Embedded::of(&shown));
            prop_assert_eq!(before.numbers(), after.numbers(), "{}", shown);
            let (call, evidence) = given_back(&json!(shown), &kept);
            prop_assert_eq!(arguments(&call), json!(text));
            let verdict = judge(&pipeline(How::Preserve, json!({"confidence": 0.4})), &call, &evidence);
            prop_assert!(matches!(verdict.decision, Decision::Allow), "{:?}", verdict.decision);
        }
    }
}
