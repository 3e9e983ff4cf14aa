//! Files of captures and what is in them: nothing panics, what is read was written, and a case is read as it is written.
#![no_main]

use bartizan_capture::{Next, Reader};
use bartizan_guard::{Case, Known};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The key as it stands in the file: whoever has it can make records, which is nothing to rely on here.
    if let Ok(mut reader) = Reader::new(bytes, |_, wrapped| Ok(wrapped.to_vec().into())) {
        let mut records = 0_usize;
        loop {
            match reader.next() {
                Ok(Next::Record(content)) => {
                    records += 1;
                    again(&content);
                }
                Ok(Next::Gap(_)) => records += 1,
                Ok(Next::End(_)) | Err(_) => break,
            }
        }
        assert!(records <= bytes.len(), "more records than bytes");
        assert!(matches!(reader.next(), Ok(Next::End(_))), "nothing comes after the end or a fault");
    }
    again(bytes);
});

fn again(bytes: &[u8]) {
    let Ok(case) = Case::read(bytes, &mut Known::default()) else { return };
    let written = case.to_bytes();
    let read = Case::read(&written, &mut Known::default()).expect("what is written is read");
    assert_eq!(read.to_bytes(), written);
    case.judged(|event, session| assert!(Case::of(event, session).is_none_or(|case| case.now() == event.now)));
}
