//! The names of entities and actions in policies.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

macro_rules! types {
    ($($name:ident = $text:literal),+ $(,)?) => {
        $(pub(crate) static $name: LazyLock<EntityTypeName> = LazyLock::new(|| {
            EntityTypeName::from_str(concat!("Mcp::", $text)).expect("a constant, which a test reads")
        });)+
        /// All of them.
        pub(crate) static TYPES: &[&LazyLock<EntityTypeName>] = &[$(&$name),+];
    };
}

types! {
    ACTION = "Action",
    GROUP = "Group",
    PROMPT = "Prompt",
    RESOURCE = "Resource",
    ROLE = "Role",
    SERVER = "Server",
    TENANT = "Tenant",
    TOOL = "Tool",
    TOOL_GROUP = "ToolGroup",
    USER = "User",
}

/// The tenant of all who have no other.
pub const TENANT_OF_ALL: &str = "default";

pub(crate) fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_one_of_the_schema() {
        for name in TYPES {
            let declared = [" ", ";"].map(|end| format!("entity {}{end}", name.basename()));
            let is_declared = declared.iter().any(|text| crate::SCHEMA.contains(text));
            assert!(is_declared || name.basename() == "Action", "{}", name.basename());
        }
    }
}
