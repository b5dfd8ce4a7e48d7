//! A request as Windows' client writes it: a body, and before it a head with its headers in Windows' order.

use super::target::Target;

/// Room for the head before the body; longer ones move the body.
const HEAD_ROOM: usize = 1024;

/// A request whose body was written behind room for its head.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    from: usize,
    /// Where the body begins.
    body: usize,
}

impl Outgoing {
    /// `body` appends to what it is given.
    pub(super) fn new(body: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = vec![0; HEAD_ROOM];
        body(&mut bytes);
        Self { bytes, from: HEAD_ROOM, body: HEAD_ROOM }
    }

    /// What goes out.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    /// Puts a head before the body, in place of one that is there. `authorization` is a header's value.
    pub(super) fn head(&mut self, to: &Target, content_type: &str, sldc: bool, authorization: Option<&str>) {
        let encoding = if sldc { "Content-Encoding: SLDC\r\n" } else { "" };
        let authorization =
            authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {} HTTP/1.1\r\nConnection: Keep-Alive\r\nContent-Type: {content_type}\r\n\
             {encoding}{authorization}\
             User-Agent: Microsoft WinRM Client\r\nContent-Length: {}\r\nHost: {}\r\n\r\n",
            to.path,
            self.body().len(),
            to.authority
        );
        if let Some(from) = self.body.checked_sub(head.len()) {
            self.from = from;
            self.bytes[from..self.body].copy_from_slice(head.as_bytes());
        } else {
            let before = std::mem::replace(&mut self.body, head.len());
            self.from = 0;
            self.bytes.splice(..before, head.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_takes_the_place_of_another_however_long_both_are() {
        let to = Target::parse("http://wec.example:5985/wsman/x").unwrap();
        let mut request = Outgoing::new(|out| out.extend_from_slice(b"body"));
        let mut check = |authorization: Option<&str>| {
            request.head(&to, "text/plain", true, authorization);
            let line = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
            let expected = format!(
                "POST /wsman/x HTTP/1.1\r\nConnection: Keep-Alive\r\nContent-Type: text/plain\r\n\
                 Content-Encoding: SLDC\r\n{line}User-Agent: Microsoft WinRM Client\r\n\
                 Content-Length: 4\r\nHost: wec.example:5985\r\n\r\nbody"
            );
            assert_eq!(String::from_utf8_lossy(request.bytes()), expected);
            assert_eq!(request.body(), b"body");
        };
        let (long, longer) = ("Kerberos YII".repeat(200), "Kerberos YII".repeat(300));
        for authorization in [None, Some(&*long), Some(&*longer), Some("Basic eA=="), None] {
            check(authorization);
        }
    }
}
