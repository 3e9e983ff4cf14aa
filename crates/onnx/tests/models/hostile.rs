//! What no model should do is an error that says what, and never a panic or a wait.

use std::time::{Duration, Instant};

use bartizan_onnx::{Digest, Model, Problem};

use crate::made::{Folder, Graph, bytes, floats, int, ints, node, tokenizer, value, with};

#[track_caller]
fn refused(folder: &Folder, why: &str) {
    let said = Model::load(&folder.settings).expect_err(why).to_string();
    assert!(said.contains(why), "{said}");
    assert!(said.len() < 600 && !said.contains('\n'), "{said}");
}

#[track_caller]
fn refused_graph(why: &str, change: impl FnOnce(&mut Graph)) {
    let mut graph = Graph::new();
    change(&mut graph);
    refused(&Folder::new(&graph.file()), why);
}

#[test]
fn another_file_than_the_one_that_is_pinned_is_refused() {
    let folder = Folder::new(&Graph::new().file());
    assert!(Model::load(&folder.settings).is_ok());
    for name in ["model.onnx", "tokenizer.json", "config.json"] {
        let path = folder.path().join(name);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, [before.as_slice(), b" "].concat()).unwrap();
        assert!(matches!(Model::load(&folder.settings), Err(Problem::OtherDigest { .. })), "{name}");
        std::fs::write(&path, before).unwrap();
    }
    assert!(Model::load(&folder.settings).is_ok());
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let Err(Problem::OtherDigest { found }) = Model::load(&folder.settings) else { panic!("it is a file less") };
    assert_eq!(Digest::parse(&found.to_string()), Some(found));
}

#[test]
fn files_that_are_missing_or_too_large_are_named() {
    let mut folder = Folder::new(&Graph::new().file());
    folder.settings.most_bytes = 100;
    refused(&folder, "model.onnx: it has more than 100 bytes");
    folder.settings.most_bytes = 1 << 20;
    folder.remove("tokenizer.json");
    refused(&folder, "tokenizer.json: there is no such file");
    std::fs::create_dir(folder.path().join("tokenizer.json")).unwrap();
    refused(&folder, "tokenizer.json: it is no file");
}

#[test]
fn settings_out_of_their_bounds_are_refused() {
    let mut folder = Folder::new(&Graph::new().file());
    for (window, most_windows, why) in [
        (7, 1, "a window has 8 to"),
        (100_000, 1, "a window has 8 to"),
        (513, 1, "which takes 512"),
        (16, 0, "1 to 4096 windows"),
    ] {
        (folder.settings.window, folder.settings.most_windows) = (window, most_windows);
        refused(&folder, why);
    }
}

#[test]
fn what_is_no_classifier_of_texts_is_refused() {
    refused_graph("no input `input_ids`", |graph| drop(graph.inputs.remove(0)));
    refused_graph("an input `pixel_values`", |graph| graph.inputs.push(value("pixel_values", 1, &[-1, 3])));
    refused_graph("two inputs `input_ids`", |graph| graph.inputs.push(value("input_ids", 7, &[-1, -1])));
    refused_graph("has 3 dimensions", |graph| graph.inputs[0] = value("input_ids", 7, &[-1, -1, 3]));
    refused_graph("not of whole numbers", |graph| graph.inputs[0] = value("input_ids", 1, &[-1, -1]));
    refused_graph("several texts at once", |graph| graph.inputs[0] = value("input_ids", 7, &[4, -1]));
    refused_graph("a size that no text has", |graph| graph.inputs[0] = value("input_ids", 7, &[1, i64::MAX]));
    refused_graph("different lengths", |graph| {
        graph.inputs[0] = value("input_ids", 7, &[1, 12]);
        graph.inputs[1] = value("attention_mask", 7, &[1, 13]);
    });
    refused_graph("it has no output", |graph| graph.outputs.clear());
    refused_graph("not one row of two or more logits", |graph| graph.outputs = vec![value("masked", 1, &[-1, -1, 2])]);
    refused_graph("`nothing`, which nothing gives", |graph| graph.outputs = vec![value("nothing", 1, &[-1, 2])]);
    refused_graph("takes `there`, which nothing gives", |graph| drop(graph.nodes.remove(1)));
}

#[test]
fn a_step_that_is_not_known_or_does_not_fit_is_an_error() {
    refused_graph("Unknowable", |graph| graph.nodes[5] = node("Unknowable", &["summed"], "logits", &[]));
    refused_graph("model.onnx", |graph| graph.tensors[3] = floats("weights", &[3, 2], &[0.0; 6]));
}

#[test]
fn what_loops_draws_numbers_or_reads_files_is_refused() {
    refused_graph("parts within parts", |graph| {
        let inner = bytes(5, &[bytes(1, b"then_branch"), bytes(6, &Graph::new().file()), int(20, 5)].concat());
        graph.nodes[5] = node("If", &["summed"], "logits", &[inner]);
    });
    refused_graph("`RandomNormal`", |graph| graph.nodes.push(node("RandomNormal", &[], "noise", &[])));
    refused_graph("in another file", |graph| {
        let place = [bytes(1, b"location"), bytes(2, b"../../../../etc/passwd")].concat();
        graph.tensors[3] =
            [int(1, 2), int(1, 2), int(2, 1), bytes(8, b"weights"), bytes(13, &place), int(14, 1)].concat();
    });
}

#[test]
fn sizes_that_nothing_is_behind_are_refused() {
    refused_graph("not as many values", |graph| graph.tensors[3] = floats("weights", &[1 << 40, 2], &[1.0]));
    refused_graph("not as many values", |graph| graph.tensors[3] = floats("weights", &[i64::MAX, i64::MAX], &[1.0]));
    refused_graph("not as many values", |graph| graph.tensors[3] = floats("weights", &[-1, 2], &[1.0]));
    refused_graph("dimensions", |graph| graph.tensors[3] = floats("weights", &[1; 9], &[1.0]));
    for (op, inputs, sizes) in [
        ("ConstantOfShape", &["huge"][..], &[1_i64 << 38][..]),
        ("Expand", &["summed", "huge"], &[1 << 20, 1 << 20, 1, 2]),
        ("Tile", &["summed", "huge"], &[1 << 30, i64::MAX]),
    ] {
        refused_graph("too large", |graph| {
            graph.tensors.push(ints("huge", &[sizes.len() as i64], sizes));
            graph.nodes.push(node(op, inputs, "made", &[]));
        });
    }
    // It grows step by step, from sizes that say nothing.
    refused_graph("model.onnx", |graph| {
        graph.tensors.push(ints("many", &[2], &[4096, 4096]));
        graph.nodes[5] = node("Tile", &["summed", "many"], "wide", &[]);
        graph.nodes.push(node("Tile", &["wide", "many"], "wider", &[]));
        graph.nodes.push(node("ReduceSum", &["wider", "middle"], "logits", &[with("keepdims", 1)]));
    });
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut folder = Folder::new(&Graph::new().file());
    folder.write("tokenizer.json", tokenizer().replace("\"money\": 9", "\"money\": 9, \"more\": 10").as_bytes());
    refused(&folder, "tried with the last token of its tokenizer");
    folder.write("tokenizer.json", b"{}");
    refused(&folder, "tokenizer.json");
    folder.write("tokenizer.json", b"[1, 2");
    refused(&folder, "tokenizer.json");
    folder.write("tokenizer.json", tokenizer().as_bytes());
    folder.write("config.json", b"[");
    refused(&folder, "config.json");
}

#[test]
fn what_is_no_number_is_no_probability() {
    refused_graph("no number", |graph| graph.tensors[4] = floats("bias", &[2], &[f32::NAN, 0.0]));
}

/// Whatever is wrong with the bytes: an error, or a model that answers within its bounds.
#[test]
fn no_file_makes_it_panic_or_wait() {
    let good = Graph::new().file();
    let mut folder = Folder::new(&good);
    let mut drawn = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        (drawn % below as u64) as usize
    };
    let (mut loaded, mut refused) = (0, 0);
    // Wherever it is cut off, and with what was drawn changed.
    let cut = (0..good.len()).step_by(7).map(|at| good[..at].to_vec());
    let changed: Vec<_> = (0..300)
        .map(|_| {
            let mut bytes = good.clone();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                match draw(3) {
                    0 => bytes[at] ^= 1 << draw(8),
                    1 => bytes[at] = draw(256) as u8,
                    _ => bytes.insert(at, draw(256) as u8),
                }
            }
            bytes
        })
        .collect();
    for bytes in cut.chain(changed) {
        folder.write("model.onnx", &bytes);
        let model = match std::panic::catch_unwind(|| Model::load(&folder.settings)) {
            Ok(Ok(model)) => model,
            Ok(Err(_)) => {
                refused += 1;
                continue;
            }
            Err(_) => panic!("it panicked over {bytes:x?}"),
        };
        loaded += 1;
        if let Ok(score) = model.score("quietly wire money", Instant::now() + Duration::from_secs(60)) {
            assert!((0.0..=1.0).contains(&score.probability), "{score:?}");
        }
    }
    assert!(loaded > 10 && refused > 100, "{loaded} loaded, {refused} refused");
}
