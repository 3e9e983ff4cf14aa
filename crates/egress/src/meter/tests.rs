use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn limits(sent: Cap, received: Cap) -> Limits {
    Limits { sent, received, ..Limits::default() }
}

const FREE: Cap = Cap { each: u64::MAX, all: u64::MAX };

#[tokio::test]
async fn no_byte_over_a_cap_crosses() {
    for (cap, first, second) in [
        (Cap { each: 10, all: 100 }, 10, 10),
        (Cap { each: 100, all: 15 }, 15, 0),
        (Cap { each: 10, all: 15 }, 10, 5),
        (Cap { each: 0, all: 15 }, 0, 0),
    ] {
        let totals = Arc::new(Totals::new(&limits(cap, FREE)));
        for expected in [first, second] {
            let (near, mut far) = tokio::io::duplex(1000);
            let meter = Meter::new(Arc::clone(&totals));
            let mut metered = Metered::new(near, Arc::clone(&meter));
            let error = metered.write_all(&[7; 200]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
            drop(metered);
            let mut came = Vec::new();
            far.read_to_end(&mut came).await.unwrap();
            assert_eq!((came.len() as u64, meter.sent()), (expected, expected), "{cap:?}");
            assert_eq!(meter.capped(), Some(Reason::SentCap));
        }
    }
}

#[tokio::test]
async fn what_comes_is_capped_too_and_a_lower_cap_counts_at_once() {
    let totals = Arc::new(Totals::new(&limits(FREE, Cap { each: 100, all: 150 })));
    let (near, mut far) = tokio::io::duplex(1000);
    let meter = Meter::new(Arc::clone(&totals));
    let mut metered = Metered::new(near, Arc::clone(&meter));
    let mut buffer = [0; 100];
    far.write_all(&[7; 60]).await.unwrap();
    metered.read_exact(&mut buffer[..60]).await.unwrap();
    far.write_all(&[7; 60]).await.unwrap();
    assert!(metered.read(&mut buffer).await.is_err());
    assert_eq!((meter.received(), meter.capped()), (60, Some(Reason::ReceivedCap)));

    let (near, _far) = tokio::io::duplex(1000);
    let meter = Meter::new(Arc::clone(&totals));
    let mut metered = Metered::new(near, Arc::clone(&meter));
    metered.write_all(&[7; 60]).await.unwrap();
    totals.limit(&limits(Cap { each: 60, all: u64::MAX }, FREE));
    assert!(metered.write_all(&[7; 1]).await.is_err());
    assert_eq!((meter.sent(), meter.capped()), (60, Some(Reason::SentCap)));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_move_is_idle() {
    let patience = Duration::from_secs(10);
    let (near, mut far) = tokio::io::duplex(1000);
    let meter = Meter::new(Arc::new(Totals::unlimited()));
    let mut metered = Metered::new(near, Arc::clone(&meter));
    let moving = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            far.write_all(b"x").await.unwrap();
            metered.read_u8().await.unwrap();
        }
    };
    let began = tokio::time::Instant::now();
    tokio::join!(moving, meter.idle(patience));
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(110) && lasted <= Duration::from_secs(120), "{lasted:?}");
}
