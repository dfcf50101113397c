//! Certificate serial numbers: positive integers of at most 20 octets (RFC 5280 §4.1.2.2). Randomness
//! is handed in.

use std::fmt;
use std::str::FromStr;

use crate::asn1;

/// A serial number, without the sign octet DER may need in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial {
    // Before the bytes, so that the derived order is the numeric one.
    length: u8,
    bytes: [u8; MAX],
}

impl Serial {
    /// A fresh serial from 16 octets of a cryptographic generator, of which 126 bits are kept: the
    /// first two become `01`, so that it is always positive and always 16 octets long.
    #[must_use]
    pub fn from_random(mut random: [u8; 16]) -> Self {
        random[0] = random[0] & 0x3f | 0x40;
        let mut bytes = [0; MAX];
        bytes[..16].copy_from_slice(&random);
        Self { length: 16, bytes }
    }

    /// Reads the contents of a DER INTEGER.
    ///
    /// # Errors
    /// [`InvalidSerial`] when it is zero, negative, longer than 20 octets or not minimal.
    pub fn from_der_contents(contents: &[u8]) -> Result<Self, InvalidSerial> {
        if contents.len() > MAX {
            return Err(InvalidSerial);
        }
        match contents {
            [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Self::new(rest),
            [first, ..] if *first > 0 && *first < 0x80 => Self::new(contents),
            _ => Err(InvalidSerial),
        }
    }

    /// The number, big-endian, without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The DER INTEGER, tag and length included.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        asn1::unsigned(self.as_bytes())
    }

    /// The contents of the DER INTEGER: the number, with a zero octet in front where its first bit
    /// would read as a sign.
    #[must_use]
    pub fn to_der_contents(&self) -> Vec<u8> {
        let mut contents = Vec::with_capacity(MAX);
        if self.bytes[0] >= 0x80 {
            contents.push(0);
        }
        contents.extend_from_slice(self.as_bytes());
        contents
    }

    fn new(magnitude: &[u8]) -> Result<Self, InvalidSerial> {
        // Twenty octets of DER contents leave no room for a sign octet before a high bit.
        let first = *magnitude.first().ok_or(InvalidSerial)?;
        let needed = magnitude.len() + usize::from(first >= 0x80);
        let length = u8::try_from(magnitude.len()).map_err(|_| InvalidSerial)?;
        if needed > MAX || first == 0 {
            return Err(InvalidSerial);
        }
        let mut bytes = [0; MAX];
        bytes[..magnitude.len()].copy_from_slice(magnitude);
        Ok(Self { length, bytes })
    }
}

impl fmt::Display for Serial {
    /// Lower-case hexadecimal, two digits an octet, no separators.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(self.as_bytes()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl TryFrom<&[u8]> for Serial {
    type Error = InvalidSerial;

    /// Reads what [`Serial::as_bytes`] gave.
    fn try_from(bytes: &[u8]) -> Result<Self, InvalidSerial> {
        Self::new(bytes)
    }
}

impl FromStr for Serial {
    type Err = InvalidSerial;

    /// Reads hexadecimal in either case, an even number of digits, without leading zero octets.
    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| InvalidSerial)?;
        Self::new(&bytes)
    }
}

/// Not a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is a positive integer of at most 20 octets, written in hexadecimal")]
pub struct InvalidSerial;

const MAX: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn random_serials_are_positive_minimal_and_keep_126_bits(random: [u8; 16]) {
            let serial = Serial::from_random(random);
            let der = serial.to_der();
            prop_assert_eq!(der.len(), 18);
            prop_assert!((0x40..0x80).contains(&der[2]));
            prop_assert_eq!(der[2] & 0x3f, random[0] & 0x3f);
            prop_assert_eq!(&der[3..], &random[1..]);
        }

        #[test]
        fn a_serial_survives_text_and_der(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(serial) = Serial::from_der_contents(&bytes) {
                prop_assert_eq!(serial.to_string().parse::<Serial>(), Ok(serial));
                prop_assert_eq!(&serial.to_der()[2..], &bytes[..]);
            }
        }
    }

    #[test]
    fn what_is_no_serial_is_refused() {
        for text in ["", "0", "00", "0001", "xyz", "abc", &"ff".repeat(20), &"7f".repeat(21)] {
            assert!(text.parse::<Serial>().is_err(), "{text:?} was accepted");
        }
        for contents in [&[][..], &[0], &[0x80], &[0, 0x7f], &[0xff; 20]] {
            assert!(Serial::from_der_contents(contents).is_err(), "{contents:?} was accepted");
        }
        assert!("7f".repeat(20).parse::<Serial>().is_ok());
    }

    #[test]
    fn serials_are_ordered_as_numbers() {
        let serial = |text: &str| text.parse::<Serial>().expect("test serial");
        assert!(serial("ff") < serial("01ff"));
        assert!(serial("01ff") < serial("0200"));
    }
}
