//! The consumption of each address.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::{Index, IndexMut};

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
    bucket: Bucket,
}

impl Addresses {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a session of `address`.
    pub(super) fn enter(&mut self, address: IpAddr, now: Time) -> Place {
        self.forget(now);
        let address = address_key(address);
        let entries = &mut self.entries;
        let place = *self.places.entry(address).or_insert_with(|| {
            let entry = Entry {
                address,
                sessions: 0,
                bucket: Bucket::default(),
            };
            entries.insert(entry) as u32
        });
        let entry = &mut entries[place as usize];
        if entry.sessions == 0 {
            self.left.remove(&(entry.bucket.empty_at(), place));
        }
        entry.sessions += 1;
        Place(place)
    }

    /// Removes a session.
    pub(super) fn leave(&mut self, Place(place): Place, now: Time) {
        let entry = &mut self.entries[place as usize];
        entry.sessions -= 1;
        if entry.sessions == 0 {
            self.left.insert((entry.bucket.empty_at(), place));
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

impl Index<&Place> for Addresses {
    type Output = Bucket;

    #[inline]
    fn index(&self, place: &Place) -> &Bucket {
        &self.entries[place.0 as usize].bucket
    }
}

impl IndexMut<&Place> for Addresses {
    #[inline]
    fn index_mut(&mut self, place: &Place) -> &mut Bucket {
        &mut self.entries[place.0 as usize].bucket
    }
}
