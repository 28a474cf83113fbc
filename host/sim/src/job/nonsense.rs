//! Calls that break the contract's rules: each is refused, and changes nothing.

use super::spec;
use mezzo_core::ledger::{Ledger, Placement, Refusal};
use mezzo_types::{Demand, Instant, OfferId, RequestId, ReservationId, Resources};

/// Calls that break the contract's rules, each in one way.
pub(super) fn ask_for_nonsense(ledger: &mut Ledger) {
    let much = Resources {
        cpu_milli: 1 << 40,
        ..Resources::NONE
    };
    let little = Resources {
        cpu_milli: 1,
        ..Resources::NONE
    };
    let place = |offer: u64, demand: Option<&str>, resources: &Resources| Placement {
        offer: OfferId(offer),
        demand: demand.map(String::from),
        task: spec("nonsense", resources.clone(), vec!["work".into()]),
    };
    let refused = |refusal: &Result<_, Refusal>, expected: fn(&Refusal) -> bool| {
        let found = refusal.as_ref().err();
        assert!(
            found.is_some_and(expected),
            "nonsense was answered {found:?}"
        );
    };
    let is_unknown: fn(&Refusal) -> bool = |refusal| matches!(refusal, Refusal::Unknown(_));
    let an_offer = ledger.turn().offers.first().map(|offer| offer.id.0);
    let unknown = u64::MAX - 1;
    refused(
        &ledger.launch(vec![place(unknown, None, &little)]),
        is_unknown,
    );
    if let Some(offer) = an_offer {
        let known = place(offer, None, &little);
        let too_large = ledger.launch(vec![known.clone(), place(offer, None, &much)]);
        // The second has the first one's name, or is too large: none of both is launched.
        refused(&too_large, |refusal| {
            matches!(refusal, Refusal::Invalid(_) | Refusal::Insufficient(_))
        });
        refused(&ledger.launch(vec![place(offer, None, &much)]), |refusal| {
            matches!(refusal, Refusal::Insufficient(_))
        });
        let kept = ledger.reserve(OfferId(offer), much.clone(), vec![], None);
        refused(&kept.map(|_| vec![]), |refusal| {
            matches!(refusal, Refusal::Insufficient(_))
        });
        let late = ledger.reserve(OfferId(offer), little.clone(), vec![], Some(Instant(0)));
        refused(&late.map(|_| vec![]), |refusal| {
            matches!(refusal, Refusal::Invalid(_))
        });
        let undemanded = place(offer, Some("nobody-wants-it"), &little);
        refused(&ledger.launch(vec![known, undemanded]), |refusal| {
            matches!(refusal, Refusal::Invalid(_) | Refusal::Unknown(_))
        });
    }
    refused(
        &ledger.kill("nobody-runs-it", None).map(|()| vec![]),
        is_unknown,
    );
    let nothing = Demand {
        name: "nothing".into(),
        each: Resources::NONE,
        count: u32::MAX,
        ..Demand::default()
    };
    refused(&ledger.want(vec![nothing]).map(|()| vec![]), |refusal| {
        matches!(refusal, Refusal::Invalid(_))
    });
    let no_reservation = ReservationId(unknown);
    refused(
        &ledger.unreserve(no_reservation).map(|()| vec![]),
        is_unknown,
    );
    refused(
        &ledger.destroy_volume(no_reservation, "v").map(|()| vec![]),
        is_unknown,
    );
    let made = ledger.create_volume(no_reservation, "v", 1);
    refused(&made.map(|()| vec![]), is_unknown);
    let nobody = ledger.stream_write(RequestId(unknown), b"hello".to_vec());
    assert!(!nobody, "nobody has asked for that");
    let long = ledger.state_set(&"k".repeat(10_000), vec![]);
    assert!(long.is_err(), "the key is too long");
}
