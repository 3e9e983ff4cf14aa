//! Models of every kind, made here: those that say what anybody can add up, and those that nobody should run.
#![cfg(test)]

mod hostile;
mod made;
mod right;
