//! The countries there are (ISO 3166-1, two letters), for whoever misspells one. Nothing decides by this list: what
//! the database says is compared as it is.

/// Those that are assigned.
const ASSIGNED: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET \
    FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ \
    IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML \
    MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS \
    PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL \
    TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// What a code that is no country's is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// The country has this one.
    Country(&'static str),
    /// It is a continent.
    Continent(&'static str),
    /// Nothing is known of it.
    Nothing,
}

/// Is it no country's code? Nothing where it is one, or may be: some codes are for everybody's own use, and databases
/// use them.
pub(super) fn unknown(code: [u8; 2]) -> Option<Instead> {
    let is_own = matches!(
        code,
        [b'A', b'A'] | [b'Q', b'M'..=b'Z'] | [b'X', _] | [b'Z', b'Z']
    );
    let is_assigned = ASSIGNED.split(' ').any(|assigned| assigned.as_bytes() == code);
    if is_own || is_assigned {
        return None;
    }
    Some(match &code {
        b"UK" => Instead::Country("GB"),
        b"EL" => Instead::Country("GR"),
        b"SU" => Instead::Country("RU"),
        b"FX" => Instead::Country("FR"),
        b"TP" => Instead::Country("TL"),
        b"ZR" => Instead::Country("CD"),
        b"BU" => Instead::Country("MM"),
        b"DD" => Instead::Country("DE"),
        b"EU" => Instead::Continent("EU"),
        b"OC" => Instead::Continent("OC"),
        _ => Instead::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let codes: Vec<&str> = ASSIGNED.split(' ').collect();
        assert_eq!(codes.len(), 249);
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(codes.iter().all(|code| code.len() == 2));
    }

    #[test]
    fn codes_for_everybodys_use_are_left_alone() {
        for code in [b"XK", b"AA", b"QM", b"ZZ", b"DE"] {
            assert_eq!(unknown(*code), None);
        }
        assert_eq!(unknown(*b"UK"), Some(Instead::Country("GB")));
        assert_eq!(unknown(*b"EU"), Some(Instead::Continent("EU")));
        assert_eq!(unknown(*b"JJ"), Some(Instead::Nothing));
    }
}
