//! Hop 3, pure: what is decided about a message before it may run.

use jiff::Timestamp;
use umbel_protocol::message::{Embed, Message};
use umbel_value::Value;

/// What a decision before the run depends on, gathered once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    /// A task of the message's name is loaded.
    pub(crate) registered: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Admission {
    Run,
    /// Not before this instant.
    Hold(Timestamp),
    Refuse(Refusal),
}

/// Why a message does not run here, ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// No plugin brings the name.
    Unregistered,
    /// Its time is over.
    Expired,
    /// It wants follow-ups that this version does not send; running it would lose them.
    Unsupported(&'static str),
}

/// Decides about one message. Expiry beats everything but an unknown name: nobody else could tell.
pub(crate) fn admit(message: &Message, facts: Facts) -> Admission {
    if !facts.registered {
        return Admission::Refuse(Refusal::Unregistered);
    }
    if expired(message, facts.now) {
        return Admission::Refuse(Refusal::Expired);
    }
    if let Some(what) = unsupported(&message.embed) {
        return Admission::Refuse(Refusal::Unsupported(what));
    }
    match &message.eta {
        Some(eta) if eta.at > facts.now => Admission::Hold(eta.at),
        _ => Admission::Run,
    }
}

/// Asked again right before the run, as Celery does.
pub(crate) fn expired(message: &Message, now: Timestamp) -> bool {
    message.expires.as_ref().is_some_and(|expires| expires.at <= now)
}

fn unsupported(embed: &Embed) -> Option<&'static str> {
    let wanted = |value: &Option<Value>| match value {
        None | Some(Value::Null) => false,
        Some(Value::List(items)) => !items.is_empty(),
        Some(Value::Map(map)) => !map.is_empty(),
        Some(_) => true,
    };
    [
        ("callbacks (link)", &embed.callbacks),
        ("error callbacks (link_error)", &embed.errbacks),
        ("a chain", &embed.chain),
        ("a chord", &embed.chord),
    ]
    .into_iter()
    .find(|(_, value)| wanted(value))
    .map(|(what, _)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use umbel_protocol::time::Timestamp as WireTime;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number")
    }

    fn message(eta: Option<i64>, expires: Option<i64>) -> Message {
        let time = |second: i64| WireTime::new(at(second));
        Message {
            eta: eta.map(time),
            expires: expires.map(time),
            ..Message::new("tasks.add", Vec::new(), Default::default())
        }
    }

    fn check(message: &Message, now: i64, expected: &Admission) {
        let facts = Facts { now: at(now), registered: true };
        assert_eq!(&admit(message, facts), expected, "{message:?} at {now}");
    }

    #[test]
    fn expiry_beats_eta_and_both_are_measured_against_now() {
        check(&message(None, None), 6, &Admission::Run);
        check(&message(Some(5), None), 6, &Admission::Run);
        check(&message(Some(9), None), 6, &Admission::Hold(at(9)));
        check(&message(Some(9), Some(5)), 6, &Admission::Refuse(Refusal::Expired));
        check(&message(None, Some(6)), 6, &Admission::Refuse(Refusal::Expired));
        check(&message(None, Some(7)), 6, &Admission::Run);
    }

    #[test]
    fn an_unknown_name_is_refused_whatever_else_it_asks() {
        let facts = Facts { now: at(6), registered: false };
        let refused = Admission::Refuse(Refusal::Unregistered);
        assert_eq!(admit(&message(Some(9), Some(5)), facts), refused);
    }

    #[test]
    fn empty_follow_ups_are_none() {
        let mut plain = message(None, None);
        plain.embed.chain = Some(Value::List(Vec::new()));
        plain.embed.callbacks = Some(Value::Null);
        check(&plain, 6, &Admission::Run);
    }
}
