//! Starting, stopping and restarting under a service manager or without one: the sockets that it
//! passes, what it is notified of, and that no client notices a restart.

#![cfg(target_os = "linux")]

mod common;

mod restart {
    mod config;
    mod folder;
    mod grace;
    mod load;
    mod notify;
    mod passed;
    mod passing;
    mod sharing;
    mod successor;
    mod under_load;
    mod units;
}
