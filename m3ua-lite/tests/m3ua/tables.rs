//! All states by all events, written out: each row can be compared with the RFC without reading code.

use m3ua_lite::as_state::{AsState, AsTrigger, as_step};
use m3ua_lite::asp::{Answers, AspEvent, AspState, SgpEvent, asp_step, sgp_step};
use m3ua_lite::asp_peer::{Request, next_request};

use AspState::{Active, Down, Inactive};

const NONE: Answers = Answers::empty();
const DELIVER: Answers = Answers::DELIVER;
const UNEXPECTED: Answers = Answers::ERR_UNEXPECTED;

/// RFC 4666 figure 3, section 4.3.4.
#[test]
fn sgp_table() {
    let up_and_error = Answers::UP_ACK | UNEXPECTED;
    let table = [
        (Down, SgpEvent::AspUp, Inactive, Answers::UP_ACK),
        (Down, SgpEvent::AspDown, Down, Answers::DOWN_ACK),
        (Down, SgpEvent::AspActive, Down, UNEXPECTED),
        (Down, SgpEvent::AspInactive, Down, UNEXPECTED),
        (Down, SgpEvent::Overridden, Down, NONE),
        (Down, SgpEvent::Data, Down, NONE),
        (Down, SgpEvent::Ssnm, Down, UNEXPECTED),
        (Down, SgpEvent::AssociationLost, Down, NONE),
        (Inactive, SgpEvent::AspUp, Inactive, Answers::UP_ACK),
        (Inactive, SgpEvent::AspDown, Down, Answers::DOWN_ACK),
        (Inactive, SgpEvent::AspActive, Active, Answers::ACTIVE_ACK),
        (Inactive, SgpEvent::AspInactive, Inactive, Answers::INACTIVE_ACK),
        (Inactive, SgpEvent::Overridden, Inactive, NONE),
        (Inactive, SgpEvent::Data, Inactive, NONE),
        (Inactive, SgpEvent::Ssnm, Inactive, UNEXPECTED),
        (Inactive, SgpEvent::AssociationLost, Down, NONE),
        (Active, SgpEvent::AspUp, Inactive, up_and_error),
        (Active, SgpEvent::AspDown, Down, Answers::DOWN_ACK),
        (Active, SgpEvent::AspActive, Active, Answers::ACTIVE_ACK),
        (Active, SgpEvent::AspInactive, Inactive, Answers::INACTIVE_ACK),
        (Active, SgpEvent::Overridden, Inactive, NONE),
        (Active, SgpEvent::Data, Active, DELIVER),
        (Active, SgpEvent::Ssnm, Active, DELIVER),
        (Active, SgpEvent::AssociationLost, Down, NONE),
    ];
    assert_eq!(table.len(), AspState::ALL.len() * SgpEvent::ALL.len());
    for (at, (state, event)) in
        AspState::ALL.into_iter().flat_map(|state| SgpEvent::ALL.map(|event| (state, event))).enumerate()
    {
        let (row_state, row_event, next, answers) = table[at];
        assert_eq!((row_state, row_event), (state, event), "the table has a row for each pair, in order");
        assert_eq!(sgp_step(state, event), (next, answers), "{} {event:?}", state.name());
    }
}

/// RFC 4666 section 4.3.4, "At the ASP".
#[test]
fn asp_table() {
    let table = [
        (Down, AspEvent::UpAck, Inactive, NONE),
        (Down, AspEvent::DownAck, Down, NONE),
        (Down, AspEvent::ActiveAck, Down, UNEXPECTED),
        (Down, AspEvent::InactiveAck, Down, UNEXPECTED),
        (Down, AspEvent::Alternate, Down, NONE),
        (Down, AspEvent::AssociationLost, Down, NONE),
        (Inactive, AspEvent::UpAck, Inactive, NONE),
        (Inactive, AspEvent::DownAck, Down, NONE),
        (Inactive, AspEvent::ActiveAck, Active, NONE),
        (Inactive, AspEvent::InactiveAck, Inactive, NONE),
        (Inactive, AspEvent::Alternate, Inactive, NONE),
        (Inactive, AspEvent::AssociationLost, Down, NONE),
        (Active, AspEvent::UpAck, Inactive, UNEXPECTED),
        (Active, AspEvent::DownAck, Down, NONE),
        (Active, AspEvent::ActiveAck, Active, NONE),
        (Active, AspEvent::InactiveAck, Inactive, NONE),
        (Active, AspEvent::Alternate, Inactive, NONE),
        (Active, AspEvent::AssociationLost, Down, NONE),
    ];
    assert_eq!(table.len(), AspState::ALL.len() * AspEvent::ALL.len());
    for (at, (state, event)) in
        AspState::ALL.into_iter().flat_map(|state| AspEvent::ALL.map(|event| (state, event))).enumerate()
    {
        let (row_state, row_event, next, answers) = table[at];
        assert_eq!((row_state, row_event), (state, event), "the table has a row for each pair, in order");
        assert_eq!(asp_step(state, event), (next, answers), "{} {event:?}", state.name());
    }
}

#[test]
fn request_table() {
    let table = [
        (Down, Down, None),
        (Down, Inactive, Some(Request::Up)),
        (Down, Active, Some(Request::Up)),
        (Inactive, Down, Some(Request::Down)),
        (Inactive, Inactive, None),
        (Inactive, Active, Some(Request::Active)),
        (Active, Down, Some(Request::Inactive)),
        (Active, Inactive, Some(Request::Inactive)),
        (Active, Active, None),
    ];
    for (state, target, request) in table {
        assert_eq!(next_request(state, target), request, "{} to {}", state.name(), target.name());
    }
}

/// RFC 4666 figure 4, for n = 2: (active, inactive) ASPs now.
#[test]
fn as_table() {
    use AsState::{Active, Down, Inactive, Pending};
    use AsTrigger::{Asp, RecoveryTimer};
    let table = [
        // State, trigger, active, inactive, next.
        (Down, Asp, 0, 0, Down),
        (Down, Asp, 0, 1, Inactive), // DN2IA
        (Down, Asp, 1, 0, Inactive), // one active, two needed
        (Down, Asp, 2, 0, Active),
        (Inactive, Asp, 0, 0, Down), // IA2DN
        (Inactive, Asp, 0, 2, Inactive),
        (Inactive, Asp, 1, 1, Inactive),
        (Inactive, Asp, 2, 0, Active), // IA2AC
        (Active, Asp, 2, 0, Active),
        (Active, Asp, 1, 1, Active),  // fewer than n, one is left
        (Active, Asp, 0, 2, Pending), // AC2PN
        (Active, Asp, 0, 0, Pending), // AC2PN
        (Pending, Asp, 0, 0, Pending),
        (Pending, Asp, 0, 1, Pending),
        (Pending, Asp, 1, 0, Active),             // PN2AC: one is enough
        (Pending, RecoveryTimer, 0, 1, Inactive), // PN2IA
        (Pending, RecoveryTimer, 0, 0, Down),     // PN2DN
        (Down, RecoveryTimer, 0, 0, Down),
        (Inactive, RecoveryTimer, 0, 1, Inactive),
        (Active, RecoveryTimer, 1, 0, Active),
    ];
    for (state, trigger, active, inactive, next) in table {
        let row = format!("{} {trigger:?} {active} {inactive}", state.name());
        assert_eq!(as_step(state, trigger, active, inactive, 2), next, "{row}");
    }
    // AS-ACTIVE is only where an ASP is active, whatever happened before; AS-DOWN only where none is there.
    for state in AsState::ALL {
        for trigger in [Asp, RecoveryTimer] {
            for (active, inactive) in [(0, 0), (0, 1), (1, 0), (3, 4)] {
                let next = as_step(state, trigger, active, inactive, 1);
                if trigger == Asp {
                    assert_eq!(next == Active, active > 0, "{} {active} {inactive}", state.name());
                }
            }
        }
    }
}
