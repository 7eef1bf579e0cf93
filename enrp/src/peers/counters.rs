//! What [`Peers`](super::Peers) counts.

use crate::server::counters::counters;

counters! {
    "ENRP messages taken in."
    enrp_in,
    "ENRP messages given out."
    enrp_out,
    "ENRP messages that did not decode."
    enrp_malformed,
    "ENRP messages whose sender has our own identifier and is not us, or has none."
    enrp_bad_sender,
    "ENRP messages not taken, and their associations closed: of a server that is connected from elsewhere, or of a second server over one association."
    enrp_spoofed,
    "ENRP messages for another server."
    enrp_misdirected,
    "ENRP_ERROR received."
    enrp_errors_in,
    "ENRP messages that could not be encoded: more in them than a message holds."
    enrp_unencodable,
    "Servers that became peers."
    peers_up,
    "Peers not taken because `peers_max` are known."
    peers_refused,
    "Associations to a peer's address that were up, and nobody said anything in MAX-TIME-NO-RESPONSE (or a multiple of it, after the first)."
    peers_unanswered,
    "Peers found dead."
    peers_dead,
    "Times a silent or lost peer was asked for a presence."
    peers_probed,
    "Times the timers came late, so that silence could not be measured."
    peers_stalls,
    "Takeovers begun by this server."
    takeovers_begun,
    "Takeovers that this server won."
    takeovers_won,
    "Takeovers given up because the target lives."
    takeovers_stopped,
    "Takeovers left to another server."
    takeovers_yielded,
    "Takeovers begun again because a peer hears the target."
    takeovers_objected,
    "Takeovers that another server announced."
    takeovers_heard,
    "Takeovers announced of a server that lives: this one, or one that is heard."
    taken_over_alive,
    "PEs whose home became this server by a takeover."
    elements_taken_over,
    "Downloads of a peer's table begun."
    downloads,
    "Downloads that were refused or not finished."
    downloads_failed,
    "Downloads that may have begun in the middle of the table, so that nothing was removed and another one follows."
    downloads_in_doubt,
    "Presences whose checksum differed from ours."
    audits_differ,
    "Table requests answered."
    tables_served,
    "Table and list requests refused."
    tables_refused,
    "Elements too long for a message, left out of a table or an update."
    elements_left_out,
    "Updates sent, each to all peers."
    updates_out,
    "Updates taken."
    updates_in,
    "Updates not taken because of `updates_per_s`."
    updates_limited,
    "Updates and table entries not taken: about elements that are ours, or older than what is known."
    updates_ignored,
    "Elements not taken for lack of room or because they do not fit their pool."
    elements_refused,
    "Elements not taken because their server is not known and `peers_max` are: nobody would watch them."
    elements_unwatched,
    "Elements claimed by another server that stay ours."
    claims_kept,
    "Elements given up to another server."
    claims_yielded,
}
