//! Which addresses belong to the public internet, and networks that an operator names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv4 that is not the public internet: the registry of special-purpose addresses, and the one
/// public address behind which a cloud hides its machines' metadata.
const SPECIAL_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// IPv6 that is given out, and what of it is not the public internet: protocol assignments with
/// Teredo, documentation, 6to4. All that lies outside of it (loopback, unique local, link-local,
/// multicast, NAT64, segment routing) is special by itself.
const GLOBAL_V6: (u16, u8) = (0x2000, 3);
const SPECIAL_V6: &[([u16; 2], u8)] =
    &[([0x2001, 0], 23), ([0x2001, 0xdb8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// True for an address that anybody could reach from anywhere. An address that carries another one
/// (mapped, NAT64, 6to4, Teredo) is not public, whatever it carries; a mapped one is looked at as
/// what it stands for.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !SPECIAL_V4
            .iter()
            .any(|(of, bits)| Network::v4(Ipv4Addr::from(*of), *bits).holds(address.into())),
        IpAddr::V6(address) => {
            let network = |of: [u16; 2], bits| {
                Network::v6(Ipv6Addr::new(of[0], of[1], 0, 0, 0, 0, 0, 0), bits)
            };
            network([GLOBAL_V6.0, 0], GLOBAL_V6.1).holds(address.into())
                && !SPECIAL_V6.iter().any(|(of, bits)| network(*of, *bits).holds(address.into()))
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn v4(address: Ipv4Addr, bits: u8) -> Self {
        Self { address: address.into(), bits }
    }

    fn v6(address: Ipv6Addr, bits: u8) -> Self {
        Self { address: address.into(), bits }
    }

    /// True for an address of the range; `::ffff:10.0.0.1` is 10.0.0.1.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(of), IpAddr::V4(address)) => {
                let rest = 32 - u32::from(self.bits);
                u32::from(of).checked_shr(rest) == u32::from(address).checked_shr(rest)
            }
            (IpAddr::V6(of), IpAddr::V6(address)) => {
                let rest = 128 - u32::from(self.bits);
                u128::from(of).checked_shr(rest) == u128::from(address).checked_shr(rest)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = || format!("`{text}` is neither an address nor a range such as `10.0.0.0/8`");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| no())?;
        if address.to_canonical() != address {
            return Err(format!("`{text}`: write it as the IPv4 address that it stands for"));
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(no)?,
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        let check = |text: &str, expected: bool| {
            let address: IpAddr = text.parse().expect(text);
            assert_eq!(is_public(address), expected, "{text}");
        };
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
        ] {
            check(public, true);
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            check(special, false);
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let check = |network: &str, address: &str, expected: bool| {
            let network: Network = network.parse().expect(network);
            assert_eq!(network.holds(address.parse().expect(address)), expected, "{address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.4", false);
        check("0.0.0.0/0", "127.0.0.1", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "::1", true);
        check("::/0", "127.0.0.1", false);
        check("fd00:ec2::/32", "fd00:ec2::254", true);
        check("fd00:ec2::/32", "fd00:ec3::254", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in
            ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "ten", "10.0.0.0/-1", "::ffff:1.2.3.4"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
