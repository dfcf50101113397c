//! The decision. Roles come from who asks and from bindings whose scope covers the thing; Cedar decides by
//! them and by the policies. What nothing permits is denied, what a policy forbids is denied, and so is
//! everything while a policy that concerns it cannot be evaluated.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision as CedarDecision, Effect, Entities, Entity,
    EntityTypeName, EntityUid, PolicyId, PolicySet, PrincipalConstraint, Request, Response,
    RestrictedExpression,
};

use super::binding::{BadBinding, Binding};
use super::decision::{Decision, Reason};
use super::resource::Resource;
use super::statement::{self, BadStatement};
use super::subject::{Kind, Subject};
use super::vocabulary::Vocabulary;

/// A policy as it is declared.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What everything else calls it.
    pub name: String,
    /// One or several policies in Cedar.
    pub cedar: String,
}

/// Who may what, as it stands.
#[derive(Clone)]
pub struct Rules {
    vocabulary: Arc<Vocabulary>,
    bindings: Vec<Binding>,
    /// Those that are declared, by the id under which Cedar knows each.
    declared: BTreeMap<String, cedar_policy::Policy>,
    set: PolicySet,
    authorizer: Authorizer,
    types: Types,
}

/// The types of Cedar's entities, read once.
#[derive(Clone)]
struct Types {
    subjects: [EntityTypeName; 3],
    role: EntityTypeName,
    group: EntityTypeName,
    resource: EntityTypeName,
}

impl Rules {
    /// Compiles bindings and policies.
    ///
    /// # Errors
    /// The first of them that could not work.
    pub fn compile<'a>(
        vocabulary: Arc<Vocabulary>,
        bindings: impl IntoIterator<Item = &'a Binding>,
        policies: impl IntoIterator<Item = &'a Policy>,
    ) -> Result<Self, Fault> {
        let mut set = PolicySet::new();
        for (role, text) in vocabulary.role_policies() {
            let id = Some(PolicyId::new(format!("{ROLE}{role}")));
            let policy = cedar_policy::Policy::parse(id, text);
            let policy = policy.map_err(|e| Fault::Program(e.to_string()))?;
            set.add(policy).map_err(|e| Fault::Program(e.to_string()))?;
        }
        let mut declared = BTreeMap::new();
        for Policy { name, cedar } in policies {
            let read = statement::read(&vocabulary.schema, name, cedar);
            for policy in read.map_err(|why| Fault::Policy { name: name.clone(), why })? {
                declared.insert(policy.id().to_string(), policy.clone());
                set.add(policy).map_err(|e| Fault::Program(e.to_string()))?;
            }
        }
        let mut kept = Vec::new();
        for binding in bindings {
            let checked = binding.check(&vocabulary);
            checked.map_err(|why| Fault::Binding { name: binding.name.clone(), why })?;
            kept.push(binding.clone());
        }
        let types = Types::new().map_err(Fault::Program)?;
        let authorizer = Authorizer::new();
        Ok(Self { vocabulary, bindings: kept, declared, set, authorizer, types })
    }

    /// The words that it is made of.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The bindings that stand.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Whether `subject` may do `action` to `resource`, and by what.
    #[must_use]
    pub fn decide(&self, subject: &Subject, action: &str, resource: &Resource) -> Decision {
        let roles = self.roles(subject, action, resource);
        let Some(word) = self.vocabulary.actions.get(action) else {
            return Decision { permitted: false, reasons: Vec::new() };
        };
        match self.ask(subject, &roles, word, resource) {
            Ok(response) => told(&response, &roles),
            Err(why) => Decision { permitted: false, reasons: vec![Reason::Failed(why)] },
        }
    }

    /// Whether there might be anything to which `subject` may do `action`: true where it is not known.
    #[must_use]
    pub fn might(&self, subject: &Subject, action: &str) -> bool {
        let at_large = subject.roles.iter().any(|role| self.vocabulary.includes(role, action));
        let bound = |binding: &Binding| {
            binding.to.is(subject) && self.vocabulary.includes(&binding.role, action)
        };
        at_large
            || self.bindings.iter().any(bound)
            || self.concerning(Effect::Permit, subject, action).next().is_some()
    }

    /// Whether `subject` may surely do `action` to everything: false where it is not known.
    #[must_use]
    pub fn surely(&self, subject: &Subject, action: &str) -> bool {
        self.holds(subject).any(|role| self.vocabulary.includes(role, action))
            && self.concerning(Effect::Forbid, subject, action).next().is_none()
    }

    /// Whether a binding or a policy is about `subject` by its name: whoever comes as it may have more than
    /// its roles and groups say.
    #[must_use]
    pub fn names(&self, subject: &Subject) -> bool {
        let entity = format!("{}::{:?}", subject.kind.entity(), subject.name);
        let bound = |binding: &Binding| binding.to.group().is_none() && binding.to.is(subject);
        self.bindings.iter().any(bound)
            || self.declared.values().any(|policy| policy.to_string().contains(&entity))
    }

    /// The roles that `subject` has for everything.
    pub fn holds<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = &'a str> {
        let whole = |binding: &&Binding| binding.scope.is_everything() && binding.to.is(subject);
        let bound = self.bindings.iter().filter(whole).map(|binding| binding.role.as_str());
        subject.roles.iter().copied().chain(bound)
    }

    /// The roles that `subject` has for `resource`, each with the binding that gives it.
    fn roles<'a>(
        &'a self,
        subject: &'a Subject,
        action: &str,
        resource: &Resource,
    ) -> Vec<(&'a str, Option<&'a str>)> {
        let declares = action == DECLARES;
        let bound = self
            .bindings
            .iter()
            .filter(|binding| binding.to.is(subject) && binding.scope.covers(resource, declares));
        let bound = bound.map(|binding| (binding.role.as_str(), Some(binding.name.as_str())));
        subject.roles.iter().map(|role| (*role, None)).chain(bound).collect()
    }

    fn ask(
        &self,
        subject: &Subject,
        roles: &[(&str, Option<&str>)],
        action: &Entity,
        resource: &Resource,
    ) -> Result<Response, String> {
        let principal = self.types.subject(subject.kind, &subject.name);
        let groups = subject.groups.iter().map(|group| named(&self.types.group, group));
        let roles = roles.iter().map(|(role, _)| named(&self.types.role, role));
        let parents: HashSet<EntityUid> = groups.chain(roles).collect();
        let name = HashMap::from([("name".to_owned(), text(&subject.name))]);
        let asks = Entity::new(principal.clone(), name, parents).map_err(|e| e.to_string())?;
        let object = named(&self.types.resource, &resource.id());
        let asked = Entity::new(object.clone(), attributes(resource), HashSet::new());
        let asked = asked.map_err(|e| e.to_string())?;
        let entities = Entities::from_entities([asks, asked, action.clone()], None);
        let entities = entities.map_err(|e| e.to_string())?;
        let stepped_up = RestrictedExpression::new_bool(subject.stepped_up);
        let context = Context::from_pairs([("steppedUp".to_owned(), stepped_up)]);
        let context = context.map_err(|e| e.to_string())?;
        let request = Request::new(principal, action.uid(), object, context, None);
        let request = request.map_err(|e| e.to_string())?;
        Ok(self.authorizer.is_authorized(&request, &self.set, &entities))
    }

    /// The declared policies that could permit or forbid `subject` to do `action`, as far as can be told
    /// without the thing.
    fn concerning<'a>(
        &'a self,
        effect: Effect,
        subject: &'a Subject,
        action: &'a str,
    ) -> impl Iterator<Item = &'a cedar_policy::Policy> {
        self.declared.values().filter(move |policy| {
            policy.effect() == effect
                && self.could_be_of(&policy.principal_constraint(), subject)
                && self.could_be_for(&policy.action_constraint(), action)
        })
    }

    fn could_be_of(&self, constraint: &PrincipalConstraint, subject: &Subject) -> bool {
        let it = self.types.subject(subject.kind, &subject.name);
        // Which roles somebody has depends on the thing.
        let within = |above: &EntityUid| {
            *above == it
                || *above.type_name() == self.types.role
                || subject.groups.iter().any(|group| named(&self.types.group, group) == *above)
        };
        match constraint {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Eq(who) => *who == it,
            PrincipalConstraint::In(above) => within(above),
            PrincipalConstraint::Is(kind) => kind == it.type_name(),
            PrincipalConstraint::IsIn(kind, above) => kind == it.type_name() && within(above),
        }
    }

    fn could_be_for(&self, constraint: &ActionConstraint, action: &str) -> bool {
        let Some(entity) = self.vocabulary.actions.get(action) else { return false };
        match constraint {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => *one == entity.uid(),
            ActionConstraint::In(many) => many
                .iter()
                .any(|one| *one == entity.uid() || entity.clone().into_inner().2.contains(one)),
        }
    }
}

impl Types {
    fn new() -> Result<Self, String> {
        let of = |name: &str| name.parse().map_err(|e| format!("{name}: {e}"));
        let [token, person, certificate] = Kind::ALL.map(|kind| of(kind.entity()));
        Ok(Self {
            subjects: [token?, person?, certificate?],
            role: of("Role")?,
            group: of("Group")?,
            resource: of("Resource")?,
        })
    }

    fn subject(&self, kind: Kind, name: &str) -> EntityUid {
        let [token, person, certificate] = &self.subjects;
        let of = match kind {
            Kind::Token => token,
            Kind::Person => person,
            Kind::Certificate => certificate,
        };
        named(of, name)
    }
}

fn named(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), cedar_policy::EntityId::new(name))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// What policies see of a thing: what is not known of it is an empty text, or an empty set.
fn attributes(resource: &Resource) -> HashMap<String, RestrictedExpression> {
    let maybe = |value: &Option<String>| text(value.as_deref().unwrap_or_default());
    let set = |values: &[String]| RestrictedExpression::new_set(values.iter().map(|v| text(v)));
    HashMap::from([
        ("kind".to_owned(), text(resource.kind)),
        ("name".to_owned(), maybe(&resource.name)),
        ("owner".to_owned(), maybe(&resource.owner)),
        ("profile".to_owned(), maybe(&resource.profile)),
        ("authorities".to_owned(), set(&resource.authorities)),
        ("names".to_owned(), set(&resource.names)),
        (
            "within".to_owned(),
            RestrictedExpression::new_set(resource.within().into_iter().map(text)),
        ),
        ("touches".to_owned(), RestrictedExpression::new_set(resource.touches().map(text))),
        ("targets".to_owned(), set(&resource.targets)),
    ])
}

/// What Cedar answered, in our words.
fn told(response: &Response, roles: &[(&str, Option<&str>)]) -> Decision {
    let diagnostics = response.diagnostics();
    let failed: Vec<_> = (diagnostics.errors())
        .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| {
            Reason::Failed(error.policy_id().to_string())
        })
        .collect();
    if !failed.is_empty() {
        // A policy that failed might have forbidden it.
        return Decision { permitted: false, reasons: failed };
    }
    let mut reasons = Vec::new();
    for id in diagnostics.reason() {
        let id = id.to_string();
        match id.strip_prefix(ROLE) {
            Some(name) => {
                let through = roles.iter().filter(|(role, _)| *role == name);
                reasons.extend(through.map(|(role, binding)| Reason::Role {
                    role: (*role).to_owned(),
                    binding: binding.map(str::to_owned),
                }));
            }
            None => reasons.push(Reason::Policy(id)),
        }
    }
    reasons.sort();
    Decision { permitted: response.decision() == CedarDecision::Allow, reasons }
}

/// A binding or a policy could not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A binding.
    #[error("binding {name:?}: {why}")]
    Binding {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: BadBinding,
    },
    /// A policy.
    #[error("policy {name:?}: {why}")]
    Policy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: BadStatement,
    },
    /// What is built in.
    #[error("the built-in rules do not work: {0}")]
    Program(String),
}

/// Before the name of a role, in the id of the policy that makes it; no declared name has a slash.
const ROLE: &str = "role/";
/// The action of making something as it is declared.
const DECLARES: &str = "declaration.apply";

#[cfg(test)]
mod tests;
