//! Tables and updates that do not come as they should, message by message.

use super::foreign::{alone, entry, presence, say, wait};
use super::lab::Lab;
use enrp::wire::Body;

const OWN: Body = Body::HandleTableRequest { own: true };

fn part(more: bool, ids: &[u32]) -> Body {
    Body::HandleTableResponse { reject: false, more, entries: ids.iter().map(|&id| entry(id, 300)).collect() }
}

fn ids(lab: &Lab) -> Vec<u32> {
    lab.table(0).into_keys().map(|(_, id)| id.0).collect()
}

/// Presences with a checksum that does not fit, until the table is asked for.
fn until_asked(lab: &mut Lab) {
    for _ in 0..60 {
        let mut said = say(lab, presence(false, 0x4321, true));
        said.extend(wait(lab, 50));
        if said.contains(&OWN) {
            return;
        }
    }
    panic!("not asked for its table");
}

/// The peer goes on in its table after a part that came too late for us.
#[test]
fn a_download_that_may_go_on_in_the_middle_removes_nothing() {
    let mut lab = alone();
    assert!(say(&mut lab, presence(false, 0x4321, true)).contains(&OWN));
    assert!(say(&mut lab, part(true, &[1, 2])).contains(&OWN));
    wait(&mut lab, 160);
    assert_eq!(lab.nodes[0].server.peers_counters().downloads_failed, 1);
    until_asked(&mut lab);
    say(&mut lab, part(false, &[3]));
    assert_eq!(ids(&lab), [1, 2, 3]);
    // The next one begins at the start: what it has not is gone.
    until_asked(&mut lab);
    say(&mut lab, part(false, &[2, 3]));
    assert_eq!(ids(&lab), [2, 3]);
    assert_eq!(lab.nodes[0].server.peers_counters().downloads_in_doubt, 1);
}
