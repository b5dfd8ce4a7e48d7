//! What the library of another process seals we open, in every layout it has, and the other way round.

use super::*;
use crate::support::lab::{AES128, AES256, AES256_SHA2};
use forebay::auth::handshake::Seal;
use std::io::{Read, Write};
use std::process::Stdio;

/// Messages around the ends of blocks, around those of what is worked on at once, and large ones.
const SIZES: [usize; 16] =
    [0, 1, 15, 16, 17, 31, 32, 33, 100, 4_095, 4_096, 4_097, 4_112, 8_200, 20_000, 500_001];

/// Frames are a length and as many bytes. Of each message come the message, what the library makes of it in one
/// piece, and its token and data apart; ours go back, and it opens them joined and apart.
const PEER: &str = "import gssapi, os, sys\n\
from gssapi.raw import IOV, IOVBufferType as T, wrap_iov, unwrap_iov\n\
def put(*parts):\n\
    \x20for part in parts: sys.stdout.buffer.write(len(part).to_bytes(4, 'big') + part)\n\
    \x20sys.stdout.flush()\n\
def get(): return sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), 'big'))\n\
name = gssapi.Name(sys.argv[1], gssapi.NameType.kerberos_principal)\n\
flags = [gssapi.RequirementFlag[flag] for flag in ('mutual_authentication', 'confidentiality', 'integrity',\n\
    \x20'replay_detection', 'out_of_sequence_detection')]\n\
context = gssapi.SecurityContext(name=name, usage='initiate', flags=flags)\n\
put(context.step())\n\
context.step(get())\n\
for size in sys.argv[2:]:\n\
    \x20message = os.urandom(int(size))\n\
    \x20put(message, context.wrap(message, True).message)\n\
    \x20iov = IOV(T.header, message, T.padding, std_layout=False)\n\
    \x20wrap_iov(context, iov, confidential=True)\n\
    \x20put(iov[0].value, iov[1].value)\n\
    \x20opened = context.unwrap(get() + get())\n\
    \x20assert opened.encrypted and opened.message == message\n\
    \x20iov = IOV((T.header, False, get()), get(), T.data, std_layout=False)\n\
    \x20assert unwrap_iov(context, iov).encrypted and iov[1].value == message\n\
    \x20assert context.unwrap(get()).message == message\n\
put(b'agreed')\n";

#[test]
fn what_either_side_seals_the_other_opens() {
    const TEST: &str = "what_either_side_seals_the_other_opens";
    let Some((lab, library)) = lab(TEST) else { return };
    let Some(python) = python(TEST) else { return };
    let types =
        [(AES256, Etype::AES256_SHA1), (AES128, Etype::AES128_SHA1), (AES256_SHA2, Etype::AES256_SHA384)];
    for (etype, only) in types {
        let service = lab.service(&[etype]);
        let acceptor = acceptor(&library, &lab.keytab(&[&service]));
        let client = lab.client_with(&[only]);
        let mut command = client.command(python.to_str().unwrap());
        command.args(["-c", PEER, &service]).args(SIZES.map(|size| size.to_string()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut get = || {
            let mut length = [0; 4];
            output.read_exact(&mut length).expect("the peer goes on");
            let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
            output.read_exact(&mut bytes).expect("the peer goes on");
            bytes
        };
        let mut put = |bytes: &[u8]| {
            input
                .write_all(&[&(bytes.len() as u32).to_be_bytes(), bytes].concat())
                .expect("the peer goes on");
            input.flush().unwrap();
        };
        let step = acceptor.context().step(&get(), None).unwrap();
        put(&step.token);
        let Seal::Keys(keys) = step.established.unwrap().seal else { panic!("AES is sealed by us") };
        assert_eq!(keys.key.key.etype(), only);
        let mut sealer = keys.sealer().unwrap();
        for size in SIZES {
            let (message, mut whole) = (get(), get());
            assert_eq!(message.len(), size);
            let range = sealer.unseal_token(&mut whole).unwrap();
            assert!(whole[range] == message, "{etype} {size}");
            let (signature, mut sealed) = (get(), get());
            assert_eq!(sealer.unseal(&signature, &mut sealed), Ok(size), "{etype}");
            assert!(sealed == message, "{etype} {size}");
            for nonce in [1, 2] {
                let mut sealed = message.clone();
                put(&sealer.seal([nonce; 16], &mut sealed));
                put(&sealed);
            }
            put(&sealer.seal_token([3; 16], &message));
        }
        assert_eq!(get(), b"agreed", "{etype}");
        assert!(child.wait().unwrap().success());
    }
}
