//! What a model's graph says of itself, before it is run: what it takes and gives, and that it does nothing that none may.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use crate::Problem;
use crate::said::said;

/// The most values of one tensor that is made while the model runs: 256 MB of the usual ones.
pub(crate) const MOST_VALUES: usize = 1 << 26;
/// The most steps.
const MOST_NODES: usize = 20_000;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// What an input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The tokens.
    Ids,
    /// Which of them are there, and which only fill the window.
    Mask,
    /// Which of two texts they are of.
    Types,
}

impl Input {
    fn named(name: &str) -> Option<Input> {
        match name {
            "input_ids" => Some(Input::Ids),
            "attention_mask" => Some(Input::Mask),
            "token_type_ids" => Some(Input::Types),
            _ => None,
        }
    }
}

/// What a model takes and gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Its inputs in order, and whether their numbers are of 32 bits instead of 64.
    pub(crate) inputs: Vec<(Input, bool)>,
    /// The length of a window, if the model prescribes it.
    pub(crate) window: Option<usize>,
    /// Which of the outputs has the logits.
    pub(crate) logits: usize,
}

/// What the graph takes and gives.
///
/// # Errors
/// If it is no classifier of texts, or does what none may.
pub(crate) fn check(graph: &GraphProto) -> Result<Ends, Problem> {
    if graph.node.len() > MOST_NODES {
        return Err(refused(format!("it has more than {MOST_NODES} steps")));
    }
    let mut known = HashMap::new();
    for tensor in &graph.initializer {
        held(tensor)?;
        known.insert(tensor.name.as_str(), tensor);
    }
    for node in &graph.node {
        step(node, &mut known)?;
    }
    let ends = ends(graph)?;
    wired(graph)?;
    Ok(ends)
}

fn refused(why: impl std::fmt::Display) -> Problem {
    Problem::Model(said(why))
}

/// Whatever is taken is given by somebody, once and before it is taken.
fn wired(graph: &GraphProto) -> Result<(), Problem> {
    let mut given: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    given.extend(graph.input.iter().map(|input| input.name.as_str()));
    for node in &graph.node {
        // An input that is left out has no name.
        if let Some(missing) = node.input.iter().find(|name| !name.is_empty() && !given.contains(name.as_str())) {
            return Err(refused(format!("its step `{}` takes `{missing}`, which nothing gives", node.op_type)));
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if !given.insert(output) {
                return Err(refused(format!("`{output}` is given twice")));
            }
        }
    }
    match graph.output.iter().find(|output| !given.contains(output.name.as_str())) {
        Some(missing) => Err(refused(format!("its output is `{}`, which nothing gives", missing.name))),
        None => Ok(()),
    }
}

/// Steps that draw numbers, so that no two looks are the same, or that make much of little and that no classifier of texts
/// needs.
const REFUSED: [&str; 10] = [
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "EyeLike",
    "Resize",
    "Upsample",
    "MelWeightMatrix",
    "GridSample",
];

/// One step, and what it holds.
fn step<'g>(node: &'g NodeProto, known: &mut HashMap<&'g str, &'g TensorProto>) -> Result<(), Problem> {
    if REFUSED.contains(&node.op_type.as_str()) {
        return Err(refused(format!("it has a step `{}`, which no classifier needs", node.op_type)));
    }
    for attribute in &node.attribute {
        if attribute.g.is_some() || !attribute.graphs.is_empty() {
            return Err(refused(format!("its step `{}` has steps of its own", node.op_type)));
        }
        attribute.t.iter().chain(&attribute.tensors).try_for_each(held)?;
        if let (true, Some(tensor), Some(output)) = (node.op_type == "Constant", &attribute.t, node.output.first()) {
            known.insert(output, tensor);
        }
    }
    // What these make is as large as the numbers say, however few they are.
    let sized_by: &[usize] = match node.op_type.as_str() {
        "ConstantOfShape" => &[0],
        "Expand" | "Tile" | "Pad" | "OneHot" => &[1],
        "Range" => &[0, 1],
        _ => &[],
    };
    for at in sized_by {
        let Some(tensor) = node.input.get(*at).and_then(|name| known.get(name.as_str())) else { continue };
        let product = whole(tensor).into_iter().try_fold(1_usize, |product, size| {
            // Those of no size are none, and -1 is as large as it was.
            product.checked_mul(usize::try_from(size.unsigned_abs()).ok()?.max(1))
        });
        if product.is_none_or(|product| product > MOST_VALUES) {
            return Err(refused(format!("its step `{}` makes a tensor that is too large", node.op_type)));
        }
    }
    Ok(())
}

/// The whole numbers in a tensor of them.
fn whole(tensor: &TensorProto) -> Vec<i64> {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int64) if !tensor.raw_data.is_empty() => {
            tensor.raw_data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
        }
        Ok(DataType::Int32) if !tensor.raw_data.is_empty() => {
            tensor.raw_data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()
        }
        Ok(DataType::Int64) => tensor.int64_data.clone(),
        Ok(DataType::Int32) => tensor.int32_data.iter().map(|number| i64::from(*number)).collect(),
        _ => Vec::new(),
    }
}

/// A tensor of the file has to have as many values as it says.
fn held(tensor: &TensorProto) -> Result<(), Problem> {
    let name = &tensor.name;
    if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
        return Err(refused(format!("the weights of `{name}` are in another file; export it as one")));
    }
    if tensor.dims.len() > MOST_DIMENSIONS {
        return Err(refused(format!("`{name}` has more than {MOST_DIMENSIONS} dimensions")));
    }
    let values =
        tensor.dims.iter().try_fold(1_usize, |product, size| product.checked_mul(usize::try_from(*size).ok()?));
    let size = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Double | DataType::Int64 | DataType::Uint64) => 8,
        Ok(DataType::Float | DataType::Int32 | DataType::Uint32) => 4,
        Ok(DataType::Float16 | DataType::Int16 | DataType::Uint16) => 2,
        Ok(DataType::Int8 | DataType::Uint8 | DataType::Bool) => 1,
        _ => return Err(refused(format!("`{name}` has values of a kind that is not run"))),
    };
    let apart = [
        tensor.float_data.len(),
        tensor.int32_data.len(),
        tensor.int64_data.len(),
        tensor.double_data.len(),
        tensor.uint64_data.len(),
    ];
    let fits = match tensor.raw_data.len() {
        0 => values == Some(apart.iter().sum()),
        bytes => values.and_then(|values| values.checked_mul(size)) == Some(bytes),
    };
    if fits { Ok(()) } else { Err(refused(format!("`{name}` has not as many values as it says"))) }
}

fn ends(graph: &GraphProto) -> Result<Ends, Problem> {
    let initial = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let mut inputs = Vec::new();
    let mut window = None;
    for info in graph.input.iter().filter(|info| !initial(&info.name)) {
        let name = &info.name;
        let Some(input) = Input::named(name) else {
            return Err(refused(format!(
                "it has an input `{name}`, and only `input_ids`, `attention_mask` and `token_type_ids` are known"
            )));
        };
        if inputs.iter().any(|(other, _)| *other == input) {
            return Err(refused(format!("it has two inputs `{name}`")));
        }
        let (is_short, sizes) = shape(info)?;
        let [batch, length] = sizes.as_slice() else {
            return Err(refused(format!("its input `{name}` has {} dimensions, and not two", sizes.len())));
        };
        if batch.is_some_and(|batch| batch != 1) {
            return Err(refused(format!("its input `{name}` is for several texts at once")));
        }
        if let Some(length) = *length
            && *window.get_or_insert(length) != length
        {
            return Err(refused("its inputs have different lengths"));
        }
        inputs.push((input, is_short));
    }
    if !inputs.iter().any(|(input, _)| *input == Input::Ids) {
        return Err(refused("it has no input `input_ids`"));
    }
    let logits = match graph.output.as_slice() {
        [] => return Err(refused("it has no output")),
        [_] => 0,
        several => several
            .iter()
            .position(|output| output.name == "logits")
            .ok_or_else(|| refused("it has several outputs, and none of them is called `logits`"))?,
    };
    Ok(Ends { inputs, window, logits })
}

/// Whether the numbers of an input are of 32 bits, and its sizes as far as they are prescribed.
fn shape(info: &ValueInfoProto) -> Result<(bool, Vec<Option<usize>>), Problem> {
    let name = &info.name;
    let Some(Type::TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(refused(format!("its input `{name}` is no tensor")));
    };
    let is_short = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Int64) => false,
        Ok(DataType::Int32) => true,
        _ => return Err(refused(format!("its input `{name}` is not of whole numbers"))),
    };
    let sizes = tensor.shape.iter().flat_map(|shape| &shape.dim).map(|dimension| match &dimension.value {
        Some(Size::DimValue(size)) => {
            let size = usize::try_from(*size).ok().filter(|size| (1..=crate::MAX_WINDOW).contains(size));
            size.map(Some).ok_or_else(|| refused(format!("its input `{name}` has a size that no text has")))
        }
        _ => Ok(None),
    });
    Ok((is_short, sizes.collect::<Result<_, _>>()?))
}
