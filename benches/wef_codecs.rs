//! What a delivery costs before it is XML: SLDC against the same scheme over the `bitreader` crate,
//! and UTF-16 to UTF-8 against `encoding_rs`.
//!
//! Input are envelopes of about 500 kB of UTF-16, the size that Windows sends at most, made of corpus
//! events and compressed by our encoder, which makes Windows' choices. Contestants take turns, round
//! after round, and their processor time is compared, since the machine is shared; the ratios of the
//! medians are printed first. `wef_codecs/*` are criterion's own figures for the product alone.
//!
//! | text | what is special about it |
//! |---|---|
//! | events | the corpus: nearly all ASCII |
//! | german | a letter beyond ASCII every few words |
//! | russian | two bytes for most characters |
//! | japanese | three bytes for most characters |

#![allow(clippy::print_stdout, reason = "what a bench prints is its result")]

#[path = "../tests/peers/mod.rs"]
#[allow(dead_code)]
mod peers;

use bitreader::{BitReader, BitReaderError};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::event::transcode::{Order, utf8_from_utf16, utf16le_from_utf8};
use forebay::wsman::sldc::{self, Encoder, Scheme};
use std::hint::black_box;
use std::time::Duration;

const ENVELOPES: usize = 8;
const ENVELOPE_BYTES: usize = 500_000;
const LIMIT: usize = 1 << 20;

fn envelopes() -> Vec<Vec<u8>> {
    let (events, _) = peers::events();
    let mut events = events.iter().cycle();
    let envelope = |_| {
        let mut text = String::from(
            "\u{feff}<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><s:Header/><s:Body><w:Events>",
        );
        while text.len() < ENVELOPE_BYTES / 2 {
            text += "<w:Event Action=\"http://schemas.dmtf.org/wbem/wsman/1/wsman/Event\"><![CDATA[";
            text += &String::from_utf8_lossy(events.next().expect("there are events"));
            text += "]]></w:Event>";
        }
        text += "</w:Events></s:Body></s:Envelope>";
        utf16(&text)
    };
    (0..ENVELOPES).map(envelope).collect()
}

fn texts() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let filled = |sentence: &str| {
        let units = sentence.encode_utf16().count();
        vec![utf16(&sentence.repeat(ENVELOPE_BYTES / 2 / units)); ENVELOPES]
    };
    vec![
        ("events", envelopes()),
        ("german", filled("Ein Konto wurde erfolgreich angemeldet. Überprüft: Für Administratoren.\r\n\t")),
        ("russian", filled("Вход в учетную запись выполнен успешно. ИД безопасности: S-1-5-18\r\n\t")),
        ("japanese", filled("アカウントが正常にログオンしました。セキュリティ ID: S-1-5-18\r\n\t")),
    ]
}

fn utf16(text: &str) -> Vec<u8> {
    let mut units = Vec::new();
    utf16le_from_utf8(text, &mut units);
    units
}

fn compressed(texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::default();
    let body = |text: &Vec<u8>| {
        let mut body = Vec::new();
        encoder.encode(text, Scheme::One, &mut body);
        body
    };
    texts.iter().map(body).collect()
}

/// The same scheme bit by bit over `bitreader`, with a ring for the history: how one would write it.
fn over_bitreader(stream: &[u8], out: &mut Vec<u8>) -> Result<(), BitReaderError> {
    let mut bits = BitReader::new(stream);
    let (mut ring, mut at, mut scheme) = ([0; sldc::HISTORY_BYTES], 0, 1);
    let mut put = |ring: &mut [u8; sldc::HISTORY_BYTES], at: &mut usize, byte: u8| {
        out.push(byte);
        ring[*at] = byte;
        *at = (*at + 1) % ring.len();
    };
    loop {
        if bits.remaining() >= 13 && bits.peek_u16(9)? == 0x1ff {
            bits.skip(9)?;
            match bits.read_u8(4)? {
                4 => return Ok(()),
                code @ (1 | 2) => scheme = code,
                code @ (5 | 6) => (ring, at, scheme) = ([0; sldc::HISTORY_BYTES], 0, code - 4),
                _ => {}
            }
        } else if scheme == 2 {
            let byte = bits.read_u8(8)?;
            bits.skip(u64::from(byte == 0xff))?;
            put(&mut ring, &mut at, byte);
        } else if bits.read_bool()? {
            let count = if !bits.read_bool()? {
                2 + bits.read_u16(1)?
            } else if !bits.read_bool()? {
                4 + bits.read_u16(2)?
            } else if !bits.read_bool()? {
                8 + bits.read_u16(3)?
            } else if !bits.read_bool()? {
                16 + bits.read_u16(4)?
            } else {
                32 + bits.read_u16(8)?
            };
            let place = usize::from(bits.read_u16(10)?);
            for index in 0..usize::from(count) {
                let byte = ring[(place + index) % sldc::HISTORY_BYTES];
                put(&mut ring, &mut at, byte);
            }
        } else {
            let byte = bits.read_u8(8)?;
            put(&mut ring, &mut at, byte);
        }
    }
}

/// Decodes into a buffer that is used again; what stood in it is of no interest.
type Contestant = fn(&[u8], &mut Vec<u8>);

fn ours(body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    sldc::decode(body, LIMIT, out).expect("what the encoder wrote");
}

fn by_bitreader(body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    over_bitreader(&body[..body.len() - sldc::TRAILER_BYTES], out).expect("what the encoder wrote");
}

fn our_text(units: &[u8], out: &mut Vec<u8>) {
    out.clear();
    utf8_from_utf16(units, Order::Little, out);
}

fn by_encoding_rs(units: &[u8], out: &mut Vec<u8>) {
    let mut decoder = encoding_rs::UTF_16LE.new_decoder_without_bom_handling();
    // It wants its output initialised, which happens once.
    out.resize(decoder.max_utf8_buffer_length(units.len()).expect("a length"), 0);
    let (_, _, written, _) = decoder.decode_to_utf8(units, out, true);
    black_box(&out[..written]);
}

/// Median processor time of each contestant for all inputs, taken in turns.
fn medians<const N: usize>(inputs: &[Vec<u8>], contestants: [Contestant; N]) -> [Duration; N] {
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(15);
    let mut times = [const { Vec::new() }; N];
    let mut outs = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for ((run, times), out) in contestants.iter().zip(&mut times).zip(&mut outs) {
            let start = processor_time();
            for input in inputs {
                run(black_box(input), out);
                black_box(&out);
            }
            times.push(processor_time() - start);
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compare(_: &mut Criterion) {
    let rate = |bytes: usize, time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    for (name, texts) in texts() {
        let size: usize = texts.iter().map(Vec::len).sum();
        let [one, other] = medians(&texts, [our_text, by_encoding_rs]);
        println!(
            "utf-16 {name}: {:.0} MB/s, encoding_rs {:.0} MB/s, {:.2} times",
            rate(size, one),
            rate(size, other),
            other.as_secs_f64() / one.as_secs_f64()
        );
        if name != "events" {
            continue;
        }
        let bodies = compressed(&texts);
        for (text, body) in texts.iter().zip(&bodies) {
            let mut out = Vec::new();
            by_bitreader(body, &mut out);
            assert!(out == *text, "the peer decodes the same");
        }
        let [one, other] = medians(&bodies, [ours, by_bitreader]);
        println!(
            "sldc: {:.0} MB/s of output, over bitreader {:.0} MB/s, {:.2} times; compressed {:.2} to 1",
            rate(size, one),
            rate(size, other),
            other.as_secs_f64() / one.as_secs_f64(),
            size as f64 / bodies.iter().map(Vec::len).sum::<usize>() as f64
        );
    }
}

fn product(criterion: &mut Criterion) {
    let texts = envelopes();
    let bodies = compressed(&texts);
    let mut group = criterion.benchmark_group("wef_codecs");
    group.sample_size(10).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    group.throughput(Throughput::Bytes(texts.iter().map(Vec::len).sum::<usize>() as u64));
    let mut each = |name: &str, inputs: &[Vec<u8>], run: Contestant| {
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for input in inputs {
                    run(black_box(input), &mut out);
                    black_box(&out);
                }
            });
        });
    };
    each("sldc_decode", &bodies, ours);
    each("utf16_to_utf8", &texts, our_text);
    let mut encoder = Encoder::default();
    group.bench_function("sldc_encode", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            for text in &texts {
                out.clear();
                encoder.encode(black_box(text), Scheme::One, &mut out);
                black_box(&out);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, compare, product);
criterion_main!(benches);
