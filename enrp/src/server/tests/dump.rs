//! The handlespace in pages.

use super::*;
use crate::server::PAGE_PES;

fn element(id: u32) -> PoolElement {
    let transport =
        SctpTransport { port: 5000, transport_use: TransportUse::DataOnly, addresses: [[127, 0, 0, 1].into()].into() };
    PoolElement {
        id: PeId(id),
        home: ServerId(0),
        life: RegistrationLife::Infinite,
        user_transport: Transport::Sctp(transport),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

fn filled(pools: u32, each: u32) -> Lab {
    let mut lab = Lab::new(|config| {
        config.pools_max = 50_000;
        config.pes_per_client_max = 1_000_000;
        config.registrations_per_client_per_s = u32::MAX;
        config.registrations_per_s = u32::MAX;
    });
    let source = ["127.0.0.1:5000".parse().unwrap()];
    for pe in 1..=each {
        for pool in 0..pools {
            let handle = PoolHandle::from(format!("p{pool}").as_str());
            let message = Message::Registration { handle, element: element(pe) }.encode().unwrap();
            lab.server.handle_message(lab.now, ClientId(1), &source, &message);
        }
    }
    lab
}

#[test]
fn every_element_is_in_one_page_whatever_changes_meanwhile() {
    let mut lab = filled(30, 40);
    let (mut seen, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = lab.server.page(&next).unwrap();
        assert!(page.elements.len() <= PAGE_PES);
        assert_eq!((page.pools_total, page.server.as_str()), (30, lab.server.id().to_string().as_str()));
        seen.extend(page.elements.iter().map(|e| (e.pool.clone(), e.element.id.clone())));
        pages += 1;
        // One goes that was told already, and one comes.
        let gone = Message::Deregistration { handle: "p0".into(), pe_id: PeId(pages) }.encode().unwrap();
        let come = Message::Registration { handle: "p29".into(), element: element(1_000 + pages) }.encode().unwrap();
        let source = ["127.0.0.1:5000".parse().unwrap()];
        lab.server.handle_message(lab.now, ClientId(1), &source, &gone);
        lab.server.handle_message(lab.now, ClientId(1), &source, &come);
        match page.next {
            Some(following) => next = following,
            None => break,
        }
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "some twice");
    assert!(count >= 1_200 && pages >= 5, "{count} in {pages} pages");
}

#[test]
fn wrong_places_are_refused_and_late_ones_are_empty() {
    let lab = filled(1, 1);
    for wrong in ["x", "1", "1:", ":", "1:2:3", "-1:0", "99999999999:1"] {
        assert!(lab.server.page(wrong).unwrap_err().contains("next"), "{wrong}");
    }
    let last = lab.server.page("7:1").unwrap();
    assert!(last.elements.is_empty() && last.next.is_none());
    assert_eq!(lab.server.page(" \n").unwrap().elements.len(), 1);
}

/// `cargo test --release -p enrp page_of -- --nocapture` prints how long a page holds the server up.
#[test]
fn a_page_of_a_hundred_thousand_elements_costs_what_one_of_few_does() {
    let lab = filled(500, 200);
    let (mut next, mut longest, mut bytes, mut count) = (String::new(), Duration::ZERO, 0, 0);
    loop {
        let begin = Instant::now();
        let page = lab.server.page(&next).unwrap();
        let text = serde_json::to_string(&page).unwrap();
        longest = longest.max(begin.elapsed());
        bytes = bytes.max(text.len());
        count += page.elements.len();
        match page.next {
            Some(following) => next = following,
            None => break,
        }
    }
    println!("100,000 elements in pages of {PAGE_PES}: longest page {longest:?}, {bytes} bytes");
    assert_eq!(count, 100_000);
    assert!(bytes < 1 << 18, "{bytes}");
    // The whole at once would be more than a hundred times this.
    assert!(longest < Duration::from_millis(250), "{longest:?}");
}
