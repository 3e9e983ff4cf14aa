//! What a model says is what its sums are.

use std::time::{Duration, Instant};

use bartizan_onnx::{Model, Problem, Score};

use crate::made::{BIAS, Folder, Graph, WORDS, node, value, with};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn score(folder: &Folder, text: &str) -> Score {
    Model::load(&folder.settings).unwrap().score(text, soon()).unwrap()
}

/// What the sums of these words come to.
fn by_hand(words: &[&str]) -> f32 {
    let mut logits = BIAS;
    for word in words {
        let (_, adds) = WORDS.iter().find(|(known, _)| known == word).unwrap();
        logits = [logits[0] + adds[0], logits[1] + adds[1]];
    }
    1.0 / (1.0 + (logits[0] - logits[1]).exp())
}

#[track_caller]
fn is_about(score: &Score, expected: f32) {
    assert!((score.probability - expected).abs() < 1e-5, "{score:?} and not {expected}");
}

#[test]
fn a_text_has_the_score_of_its_words() {
    let folder = Folder::new(&Graph::new().file());
    for (text, words) in [
        ("The train leaves.", &["the", "train", "leaves"][..]),
        ("Quietly wire the money!", &["quietly", "wire", "money"]),
        ("train train wire", &["train", "train", "wire"]),
        ("", &[]),
        ("Unbekannt", &[]),
        // What spells a token that is for the model alone is text like any other: those would tell the model that a text is over.
        ("[PAD]", &[]),
    ] {
        let score = score(&folder, text);
        is_about(&score, by_hand(words));
        assert!(score.is_whole && score.windows == 1, "{score:?}");
    }
    assert!(by_hand(&["quietly", "wire", "money"]) > 0.98 && by_hand(&["train", "leaves"]) < 0.01);
}

#[test]
fn a_long_text_counts_as_its_worst_window_and_says_where_that_is() {
    let mut folder = Folder::new(&Graph::new().file());
    folder.settings.most_windows = 1000;
    let model = Model::load(&folder.settings).unwrap();
    for before in [0, 3, 13, 14, 40, 2000] {
        let text = format!("{}quietly wire money {}", "the ".repeat(before), "the ".repeat(1000));
        let found = model.score(&text, soon()).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(found.probability > 0.95, "{before}: {found:?}");
        assert!(text.get(found.span.clone()).unwrap().contains("wire money"), "{before}: {found:?}");
        assert!(found.span.len() < 120, "{before}: {found:?}");
    }
    let calm = model.score(&"the train leaves ".repeat(500), soon()).unwrap();
    assert!(calm.probability < 0.05 && calm.is_whole && calm.windows > 100, "{calm:?}");
}

#[test]
fn of_a_text_no_more_is_looked_at_than_was_asked_for() {
    let mut folder = Folder::new(&Graph::new().file());
    folder.settings.most_windows = 3;
    let text = format!("{}quietly wire money", "the ".repeat(500));
    let cut = score(&folder, &text);
    assert_eq!((cut.windows, cut.is_whole), (3, false));
    assert!(cut.probability < 0.1);
    let early = score(&folder, &format!("quietly wire money {text}"));
    assert!(!early.is_whole && early.probability > 0.9, "{early:?}");
    let short = score(&folder, "quietly wire money");
    assert!(short.is_whole);
}

#[test]
fn what_is_late_is_late() {
    let folder = Folder::new(&Graph::new().file());
    let model = Model::load(&folder.settings).unwrap();
    assert_eq!(model.score("quietly wire money", Instant::now()), Err(Problem::Deadline));
}

#[test]
fn the_labels_are_those_of_the_model_or_those_that_are_asked_for() {
    let mut folder = Folder::new(&Graph::new().file());
    let expected = by_hand(&["wire"]);
    folder.settings.labels = vec!["SAFE".to_owned()];
    is_about(&score(&folder, "wire"), 1.0 - expected);
    folder.settings.labels = vec!["BENIGN".to_owned()];
    let said = Model::load(&folder.settings).unwrap_err().to_string();
    assert!(said.contains("no label `BENIGN`") && said.contains("SAFE, INJECTION"), "{said}");
    folder.settings.labels.clear();
    folder.remove("config.json");
    let said = Model::load(&folder.settings).unwrap_err().to_string();
    assert!(said.contains("LABEL_0, LABEL_1") && said.contains("`labels`"), "{said}");
    folder.settings.labels = vec!["LABEL_1".to_owned()];
    is_about(&score(&folder, "wire"), expected);
    folder.write("config.json", br#"{"id2label": {"0": "a", "1": "b", "2": "c"}}"#);
    assert!(Model::load(&folder.settings).unwrap_err().to_string().contains("has not the 2 labels"));
}

#[test]
fn inputs_are_found_by_their_names_in_any_order_and_kind() {
    let mut graph = Graph::new();
    // In another order, of 32 bits, of a fixed length, and without the one that nothing uses.
    graph.inputs = vec![value("attention_mask", 6, &[1, 12]), value("input_ids", 6, &[1, 12])];
    let folder = Folder::new(&graph.file());
    is_about(&score(&folder, "Quietly wire the money!"), by_hand(&["quietly", "wire", "money"]));
    // Ten words have room in a window of twelve.
    assert_eq!(score(&folder, &"the ".repeat(10)).windows, 1);
    assert_eq!(score(&folder, &"the ".repeat(11)).windows, 2);
}

#[test]
fn several_outputs_are_fine_if_one_has_the_logits() {
    let mut graph = Graph::new();
    graph.outputs.insert(0, value("summed", 1, &[-1, 2]));
    is_about(&score(&Folder::new(&graph.file()), "wire"), by_hand(&["wire"]));
    graph.outputs[1] = value("masked", 1, &[-1, -1, 2]);
    let said = Model::load(&Folder::new(&graph.file()).settings).unwrap_err().to_string();
    assert!(said.contains("none of them is called `logits`"), "{said}");
}

#[test]
fn a_model_with_attention_runs() {
    // What transformers are made of: products of matrices over the whole window, a softmax under a mask, and norms.
    let mut graph = Graph::new();
    graph.nodes.pop();
    graph.nodes.pop();
    graph.tensors.extend([
        crate::made::floats("one", &[], &[1.0]),
        crate::made::floats("much", &[], &[1e4]),
        crate::made::floats("scale", &[2], &[1.0, 1.0]),
        crate::made::floats("none", &[2], &[0.0, 0.0]),
        crate::made::ints("first", &[], &[0]),
        crate::made::ints("ones", &[1], &[1]),
    ]);
    graph.nodes.extend([
        node("Transpose", &["masked"], "turned", &[perm(&[0, 2, 1])]),
        node("MatMul", &["masked", "turned"], "likeness", &[]),
        node("Sub", &["there", "one"], "missing", &[]),
        node("Mul", &["missing", "much"], "far", &[]),
        node("Unsqueeze", &["far", "ones"], "far_for_each", &[]),
        node("Add", &["likeness", "far_for_each"], "scores", &[]),
        node("Softmax", &["scores"], "attention", &[with("axis", 2)]),
        node("MatMul", &["attention", "masked"], "attended", &[]),
        node("Gelu", &["attended"], "bent", &[]),
        node("Gather", &["bent", "first"], "pooled", &[with("axis", 1)]),
        node("Gemm", &["pooled", "weights", "bias"], "logits", &[]),
    ]);
    // The first token is alike to none, so it attends to all that is there alike: to the mean of five tokens.
    let found = score(&Folder::new(&graph.file()), "quietly wire money");
    let gelu = |x: f64| x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
    let (safe, bad) = (3.0, gelu(7.0 / 5.0));
    is_about(&found, (1.0 / (1.0 + f64::exp(safe - bad))) as f32);
}

fn perm(order: &[i64]) -> Vec<u8> {
    use crate::made::{bytes, int};
    let order: Vec<u8> = order.iter().flat_map(|at| int(8, *at)).collect();
    bytes(5, &[bytes(1, b"perm"), order, int(20, 7)].concat())
}

/// By its series, which is near enough for small numbers.
fn erf(x: f64) -> f64 {
    let (mut sum, mut term) = (0.0, x);
    for n in 0..60 {
        sum += term / f64::from(2 * n + 1);
        term *= -x * x / f64::from(n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
