//! `Options::forget_quarantine`: what is on the list of damage is damage like any other again.

use sawlog::disk::Disk;
use sawlog::flush::SyncFlush;
use sawlog::{Error, Message, OnDamage, Options, Store, Stored};

use crate::world::{SEGMENT, World, settle};

/// A closed store of twenty messages over several segments of which the eighth has rotted and is listed.
fn listed(world: &World) -> Vec<Stored> {
    let store = world.sync();
    let append = |n| store.append_and_wait(&Message::new("orders", format!("{n:0200}")).key("k")).unwrap();
    let stored: Vec<Stored> = (0..20).map(append).collect();
    settle(&store);
    store.close().unwrap();
    let at = stored[7].position.offset.0;
    let path = format!("/store/commitlog/{:020}", at / SEGMENT * SEGMENT);
    world.disk.flip(path, (at % SEGMENT + 100) * 8).unwrap();
    let store = Store::open("/store", options(world, OnDamage::Quarantine).rebuild_derived()).unwrap();
    assert_eq!(store.quarantined().len(), 1);
    // It was closed in order, whatever has rotted since.
    assert!(store.recovery().clean_shutdown, "{}", store.recovery());
    settle(&store);
    store.close().unwrap();
    stored
}

fn options(world: &World, rule: OnDamage) -> Options {
    world.options(SyncFlush).on_damage(rule)
}

fn is_kept(world: &World, path: &std::path::Path) -> bool {
    matches!(world.disk.entry(path), Ok(Some(entry)) if entry.len > 0)
}

fn is_listed(world: &World) -> bool {
    let survey = sawlog::inspect::Look::at("/store").disk(world.disk.clone()).survey().unwrap();
    !survey.quarantined.is_empty()
}

#[test]
fn the_log_ends_at_a_part_that_was_listed_and_what_follows_is_kept_aside() {
    let world = World::new();
    let stored = listed(&world);
    let store = Store::open("/store", options(&world, OnDamage::FirstBroken).forget_quarantine()).unwrap();
    let end = stored[7].position.offset;
    assert_eq!((store.marks().visible, store.quarantined()), (end, vec![]));
    let cuts = &store.recovery().cuts;
    assert!(
        cuts[0].from == end && cuts.iter().all(|cut| cut.damage && is_kept(&world, &cut.saved)),
        "{cuts:?}"
    );
    assert_eq!(store.scan(store.marks().first).map(Result::unwrap).count(), 7);
    // Queues and index know of no message behind it, and numbers go on where the log ends.
    settle(&store);
    assert_eq!(store.queue("orders", 0).max().0, 7);
    assert_eq!(store.find("orders", "k").map(Result::unwrap).count(), 7);
    store.append_and_wait(&Message::new("orders", "new")).unwrap();
    settle(&store);
    store.close().unwrap();
    // Nothing is left of the list: the strictest rule opens it, and looks at all of it.
    assert!(!is_listed(&world));
    let store = Store::open("/store", options(&world, OnDamage::Refuse).rebuild_derived()).unwrap();
    assert_eq!(store.scan(store.marks().first).map(Result::unwrap).count(), 8);
    store.close().unwrap();
}

#[test]
fn without_being_told_so_no_rule_gives_the_list_up() {
    let world = World::new();
    listed(&world);
    for rule in [OnDamage::Refuse, OnDamage::FirstBroken, OnDamage::Quarantine] {
        let store = Store::open("/store", options(&world, rule)).unwrap();
        assert_eq!(store.quarantined().len(), 1);
        store.close().unwrap();
        assert!(is_listed(&world));
    }
}

#[test]
fn a_list_that_is_given_up_under_the_default_rule_refuses_and_stays() {
    let world = World::new();
    let stored = listed(&world);
    let given_up = options(&world, OnDamage::Refuse).forget_quarantine();
    let Err(Error::Corrupt(why)) = Store::open("/store", given_up) else { panic!("opened") };
    assert_eq!(why.at, stored[7].position.offset);
    assert!(is_listed(&world));
}

#[test]
fn a_list_that_is_given_up_is_made_anew_where_damage_may_be_stepped_over() {
    let world = World::new();
    let stored = listed(&world);
    let store = Store::open("/store", options(&world, OnDamage::Quarantine).forget_quarantine()).unwrap();
    let found = &store.recovery().quarantined;
    assert_eq!((found.len(), found[0].part.from), (1, stored[7].position.offset));
    assert_eq!(store.quarantined(), [found[0].part]);
    store.close().unwrap();
    assert!(is_listed(&world));
}
