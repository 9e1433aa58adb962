//! Reads a TIFF's directories without a decoder.

/// Header of a TIFF with offsets of four bytes.
pub struct Header<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl<'a> Header<'a> {
    /// Reads the header; `None` if `bytes` are no such file.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let is_little = bytes.starts_with(b"II");
        let header = Self { bytes, is_little };
        ((is_little || bytes.starts_with(b"MM")) && header.two(2) == Some(42)).then_some(header)
    }

    fn two(&self, at: usize) -> Option<u16> {
        let pair = *self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    }

    fn four(&self, at: usize) -> Option<u32> {
        let quad = *self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.is_little { u32::from_le_bytes(quad) } else { u32::from_be_bytes(quad) })
    }

    /// Offsets of the directories, one for each page, up to the first that is not in the file.
    pub fn pages(&self) -> impl Iterator<Item = u32> {
        let after = |begin: &u32| {
            let at = (*begin as usize).checked_add(2)?;
            let at = at.checked_add(12 * usize::from(self.two(*begin as usize)?))?;
            self.four(at).filter(|next| *next != 0)
        };
        std::iter::successors(self.four(4), after)
    }

    /// Entries of the first directory: the tag, the offset of the value, and the value as a four-byte number.
    pub fn entries(&self) -> impl Iterator<Item = (u16, usize, u32)> {
        let begin = self.four(4).map_or(usize::MAX, |begin| begin as usize);
        (0..self.two(begin).unwrap_or(0)).map_while(move |i| {
            let at = begin.checked_add(2 + 12 * usize::from(i))?;
            Some((self.two(at)?, at + 8, self.four(at + 8)?))
        })
    }

    /// A copy of the file with the two-byte `number` at the offset `at` of an entry's value.
    pub fn with_number(&self, at: usize, number: u16) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        if let Some(place) = bytes.get_mut(at..at + 2) {
            place.copy_from_slice(&if self.is_little { number.to_le_bytes() } else { number.to_be_bytes() });
        }
        bytes
    }
}
