//! The consumption of each address.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use slab::Slab;

use super::rate::Bucket;
use crate::service::{Time, address_key};

/// The addresses with a session, and those whose bucket is not empty.
///
/// An address that has left is kept until its bucket is empty, so that a peer cannot reconnect to
/// begin anew. At that time it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    places: HashMap<IpAddr, u32>,
    entries: Slab<Entry>,
    /// The buckets of the entries, apart because each step needs one.
    buckets: Vec<Bucket>,
    /// Addresses without a session, by the time at which they may be forgotten.
    left: BTreeSet<(Time, u32)>,
}

/// A session's place in the table.
#[derive(Debug)]
pub(super) struct Place(u32);

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    sessions: u32,
}

impl Addresses {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a session of `address`.
    pub(super) fn enter(&mut self, address: IpAddr, now: Time) -> Place {
        self.forget(now);
        let address = address_key(address);
        let (entries, buckets) = (&mut self.entries, &mut self.buckets);
        let place = *self.places.entry(address).or_insert_with(|| {
            let entry = Entry {
                address,
                sessions: 0,
            };
            let place = entries.insert(entry);
            buckets.resize(buckets.len().max(place + 1), Bucket::default());
            buckets[place] = Bucket::default();
            place as u32
        });
        let entry = &mut entries[place as usize];
        if entry.sessions == 0 {
            let bucket = &self.buckets[place as usize];
            self.left.remove(&(bucket.empty_at(), place));
        }
        entry.sessions += 1;
        Place(place)
    }

    /// Returns the bucket of a place, if it has one.
    #[inline(always)]
    pub(super) fn bucket(&mut self, place: &Place) -> Option<&mut Bucket> {
        self.buckets.get_mut(place.0 as usize)
    }

    /// Removes a session.
    pub(super) fn leave(&mut self, place: Place, now: Time) {
        let Place(place) = place;
        if place == Place::NONE.0 {
            return;
        }
        let entry = &mut self.entries[place as usize];
        entry.sessions -= 1;
        if entry.sessions == 0 {
            let bucket = &self.buckets[place as usize];
            self.left.insert((bucket.empty_at(), place));
        }
        self.forget(now);
    }

    /// Forgets the addresses that have left and whose bucket is empty.
    fn forget(&mut self, now: Time) {
        while let Some(&(empty_at, place)) = self.left.first()
            && empty_at <= now
        {
            self.left.pop_first();
            let entry = self.entries.remove(place as usize);
            self.places.remove(&entry.address);
        }
    }
}

impl Place {
    /// The place of a session without an address, or without a limit for it: it has no bucket.
    pub(super) const NONE: Self = Self(u32::MAX);
}
