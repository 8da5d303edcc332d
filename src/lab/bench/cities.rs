//! How far apart the places of the world are, as networks go.

/// Ten places, each with servers.
pub(super) const CITIES: [&str; 10] = [
    "N. Virginia",
    "N. California",
    "Oregon",
    "Ireland",
    "Frankfurt",
    "Tokyo",
    "Seoul",
    "Singapore",
    "Sydney",
    "Sao Paulo",
];

/// Round trips between them, in hundredths of a millisecond: row by row, each with those behind it.
///
/// Means between the regions of Amazon's cloud, from "Latency Between AWS Global Regions", as
/// tabulated in <https://acomputerscientistlearnsaws.blogspot.com/2017/04/aws-regions.html>. From
/// Frankfurt to Singapore it is a shorter way over Ireland: there effects overtake their causes.
const ROUND_TRIPS: [&[u64]; 9] = [
    &[7_274, 8_698, 8_055, 8_866, 14_530, 17_840, 21_670, 23_000, 11_950],
    &[1_946, 15_320, 16_660, 10_250, 13_150, 17_400, 15_750, 19_270],
    &[13_700, 15_950, 8_910, 11_830, 16_140, 16_220, 18_270],
    &[1_956, 21_240, 24_240, 23_900, 30_960, 19_130],
    &[23_650, 26_620, 32_590, 32_350, 19_490],
    &[3_144, 7_379, 10_390, 25_680],
    &[7_187, 13_400, 28_630],
    &[17_530, 32_810],
    &[32_250],
];

/// What is assumed for two servers in one place, in microseconds, one way.
const NEAR_US: u64 = 500;

/// How long it takes from one place to another, one way, in microseconds: half of a round trip.
pub(super) fn one_way_us(from: usize, to: usize) -> u64 {
    let (low, high) = (from.min(to), from.max(to));
    // A hundredth of a millisecond there and back is five microseconds there.
    if low == high { NEAR_US } else { ROUND_TRIPS[low][high - low - 1] * 5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_cities_have_a_delay() {
        for from in 0..CITIES.len() {
            for to in 0..CITIES.len() {
                let delay_us = one_way_us(from, to);
                assert_eq!(delay_us, one_way_us(to, from));
                assert!(from == to || (9_000..170_000).contains(&delay_us), "{from} {to}");
            }
        }
        assert_eq!(one_way_us(8, 9), 161_250, "Sydney to Sao Paulo");
    }
}
