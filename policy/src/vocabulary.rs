//! The words that rules are made of: actions, the roles that include them, and what policies may ask of
//! who asks and of what is asked for. Policies are checked against the schema that is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, Schema};

/// All actions and roles, ready to be asked about.
pub struct Vocabulary {
    pub(crate) schema: Schema,
    text: String,
    /// Each action with the groups that it is in, as policies see it.
    pub(crate) actions: BTreeMap<&'static str, Entity>,
    roles: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Vocabulary {
    /// The vocabulary of these actions, in which each role that some action names stands for a set of them.
    ///
    /// # Errors
    /// When the names make no schema, in words: a mistake of the program.
    pub fn new(words: &[(&'static str, Vec<&'static str>)]) -> Result<Self, String> {
        let text = schema(words);
        let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|e| e.to_string())?;
        let mut actions = BTreeMap::new();
        let mut roles: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (action, included) in words {
            let groups = included.iter().map(|role| (*role).to_owned()).chain([noun(action)]);
            let groups = groups.map(|group| uid("Action", &group)).collect::<Result<_, _>>()?;
            actions.insert(*action, Entity::new_no_attrs(uid("Action", action)?, groups));
            for role in included {
                roles.entry(*role).or_default().insert(*action);
            }
        }
        Ok(Self { schema, text, actions, roles })
    }

    /// The schema, in Cedar's own language, for whoever writes policies.
    #[must_use]
    pub fn schema_text(&self) -> &str {
        &self.text
    }

    /// Whether there is such an action.
    #[must_use]
    pub fn has_action(&self, action: &str) -> bool {
        self.actions.contains_key(action)
    }

    /// Whether there is such a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// Whether a role includes an action.
    #[must_use]
    pub fn includes(&self, role: &str, action: &str) -> bool {
        self.roles.get(role).is_some_and(|actions| actions.contains(action))
    }

    /// The policies that make roles what they are.
    pub(crate) fn role_policies(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.roles.keys().map(|role| {
            let text = format!(
                "permit (principal in Role::\"{role}\", action in Action::\"{role}\", resource);"
            );
            (*role, text)
        })
    }
}

/// What Cedar calls a thing. Our own type names have the form of one.
pub(crate) fn uid(kind: &str, name: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(|e| format!("{kind}: {e}"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(name)))
}

/// The group of all actions on the same kind of thing.
fn noun(action: &str) -> String {
    format!("{}.*", action.split_once('.').map_or(action, |(noun, _)| noun))
}

fn schema(words: &[(&'static str, Vec<&'static str>)]) -> String {
    let mut text = SUBJECTS.to_owned();
    let roles: BTreeSet<_> = words.iter().flat_map(|(_, roles)| roles.iter().copied()).collect();
    let nouns: BTreeSet<_> = words.iter().map(|(action, _)| noun(action)).collect();
    for group in roles.into_iter().chain(nouns.iter().map(String::as_str)) {
        // A String takes everything.
        let _ = writeln!(text, "action \"{group}\";");
    }
    for (action, roles) in words {
        let groups = roles.iter().map(|role| format!("\"{role}\""));
        let groups: Vec<_> = groups.chain([format!("\"{}\"", noun(action))]).collect();
        let groups = groups.join(", ");
        let _ = writeln!(text, "action \"{action}\" in [{groups}] appliesTo {{ {APPLIES} }};");
    }
    text
}

const SUBJECTS: &str = "\
entity Role;
entity Group;
entity Token, Person, Certificate in [Group, Role] { name: String };
entity Resource {
  kind: String,
  name: String,
  owner: String,
  profile: String,
  authorities: Set<String>,
  names: Set<String>,
  within: Set<String>,
  touches: Set<String>,
  targets: Set<String>,
};
";
const APPLIES: &str = "principal: [Token, Person, Certificate], resource: [Resource], \
                       context: { steppedUp: Bool }";
