//! A graph made ready to be run over one window, and run, step by step until a deadline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, RunnableModel, TValue, TVec,
    Tensor, TypedFact, TypedModel, TypedOp,
};
use tract_onnx::tract_core::plan::{SimpleState, eval};
use tract_onnx::tract_hir::infer::InferenceModel;

use crate::Problem;
use crate::graph::{Ends, Input, MOST_VALUES};
use crate::said::said;
use crate::windows::Window;

/// What can be run.
pub(crate) struct Plan {
    plan: Arc<RunnableModel<TypedFact, Box<dyn TypedOp>>>,
    inputs: Vec<(Input, bool)>,
    length: usize,
    /// How many labels there are.
    pub(crate) labels: usize,
}

/// What it does, or that it panicked.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    // Nothing of what was begun is used after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Problem::Panicked))
}

impl Plan {
    /// Makes a graph ready for windows of that length.
    pub(crate) fn of(proto: &ModelProto, ends: &Ends, length: usize) -> Result<Plan, Problem> {
        let failed = |error| Problem::Model(said(format!("{error:#}")));
        // What a file says of sizes within is no more than a hint, and wrong in many.
        let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
        onnx.ignore_output_types = true;
        let mut model = onnx.model_for_proto_model(proto).map_err(failed)?;
        model.select_output_outlets(&[logits(&model, ends)?]).map_err(failed)?;
        for (at, (_, is_short)) in ends.inputs.iter().enumerate() {
            model.set_input_fact(at, InferenceFact::dt_shape(kind(*is_short), [1, length])).map_err(failed)?;
        }
        let typed = model.into_typed().map_err(failed)?;
        check(&typed)?;
        let ready = typed.into_optimized().map_err(failed)?;
        check(&ready)?;
        let labels = labels(&ready)?;
        let plan = ready.into_runnable().map_err(failed)?;
        Ok(Plan { plan, inputs: ends.inputs.clone(), length, labels })
    }

    /// The logits of a window.
    pub(crate) fn run(&self, window: &Window, deadline: Instant) -> Result<Vec<f32>, Problem> {
        let mut is_late = false;
        let ran = guarded(|| {
            let inputs = self.inputs.iter().map(|input| self.input(window, *input)).collect::<Result<TVec<_>, _>>()?;
            let failed = |error| Problem::Run(said(format!("{error:#}")));
            let mut state = SimpleState::new(&self.plan).map_err(failed)?;
            let run = state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                if Instant::now() >= deadline {
                    is_late = true;
                    return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
                }
                eval(context, state, node, inputs)
            });
            run.and_then(|outputs| numbers(&outputs)).map_err(failed)
        });
        if is_late {
            return Err(Problem::Deadline);
        }
        let logits = ran?;
        if logits.len() == self.labels {
            Ok(logits)
        } else {
            Err(Problem::Run("it gave another number of labels".to_owned()))
        }
    }

    fn input(&self, window: &Window, (input, is_short): (Input, bool)) -> Result<TValue, Problem> {
        let values = match input {
            Input::Ids => &window.ids,
            Input::Mask => &window.mask,
            Input::Types => &window.types,
        };
        let failed = |error| Problem::Run(said(format!("{error:#}")));
        let tensor = Tensor::from_shape(&[1, self.length], values).map_err(failed)?;
        let tensor = if is_short { tensor.cast_to_dt(kind(true)).map_err(failed)?.into_owned() } else { tensor };
        Ok(tensor.into_tvalue())
    }
}

fn kind(is_short: bool) -> DatumType {
    if is_short { DatumType::I32 } else { DatumType::I64 }
}

fn logits(model: &InferenceModel, ends: &Ends) -> Result<tract_onnx::prelude::OutletId, Problem> {
    let outlets = model.output_outlets().map_err(|error| Problem::Model(said(format!("{error:#}"))))?;
    outlets.get(ends.logits).copied().ok_or_else(|| Problem::Model("it has no output".to_owned()))
}

/// Every tensor has a size that is known before any text is, and one that is bearable.
fn check(model: &TypedModel) -> Result<(), Problem> {
    for node in model.nodes() {
        for outlet in &node.outputs {
            if outlet.fact.konst.is_some() {
                // It is there already.
                continue;
            }
            let Some(shape) = outlet.fact.shape.as_concrete() else {
                let why = format!("what its step `{}` makes has a size that depends on the text", node.name);
                return Err(Problem::Model(said(why)));
            };
            let values = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
            if values.is_none_or(|values| values > MOST_VALUES) {
                return Err(Problem::Model(said(format!("what its step `{}` makes is too large", node.name))));
            }
        }
    }
    Ok(())
}

/// How many labels its output has.
fn labels(model: &TypedModel) -> Result<usize, Problem> {
    let fact = model.output_fact(0).map_err(|error| Problem::Model(said(format!("{error:#}"))))?;
    match fact.shape.as_concrete() {
        Some([1, labels]) if *labels >= 2 && fact.datum_type.is_float() => Ok(*labels),
        _ => Err(Problem::Model(said(format!(
            "its output is {fact:?}, and not one row of two or more logits; it has to be exported as a classifier of texts"
        )))),
    }
}

fn numbers(outputs: &[TValue]) -> tract_onnx::prelude::TractResult<Vec<f32>> {
    let Some(output) = outputs.first() else { return Ok(Vec::new()) };
    let output = output.cast_to::<f32>()?;
    Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}
