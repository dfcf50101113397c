//! Validation against small real servers on loopback.
