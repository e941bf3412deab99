//! Comma-separated values as RFC 4180 has them.

use cells::{BYTE_ORDER_MARK, write_line};

use crate::sheet::cell::Cell;

/// A file that is being written.
pub struct Csv(String);

impl Csv {
    /// With a header.
    pub fn begin<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut csv = Self(BYTE_ORDER_MARK.to_owned());
        csv.row(names.map(Cell::from));
        csv
    }

    /// One more row.
    pub fn row(&mut self, cells: impl Iterator<Item = Cell>) {
        let cells: Vec<_> = cells.collect();
        write_line(&mut self.0, cells.iter().map(Cell::text));
    }

    /// What has been written since this was asked last.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        let mut csv = Csv::begin(["a", "b"].into_iter());
        let cells = ["x,y", "say \"hi\"\nthere", " x", "=1+1", "系統", "", "-5"].map(Cell::from);
        csv.row(cells.into_iter());
        csv.row([Cell::Integer(-5), Cell::Flag(true)].into_iter());
        let text = String::from_utf8(csv.take()).unwrap();
        let expected = "\u{feff}a,b\r\n\"x,y\",\"say \"\"hi\"\"\nthere\",\" x\",'=1+1,系統,,'-5\r\n-5,true\r\n";
        assert_eq!(text, expected);
        assert!(csv.take().is_empty());
    }
}
