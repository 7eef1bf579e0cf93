//! A message in the records of gateway, controllers and traffic sources.

use crate::isup;
use crate::wire::ProtocolData;
use core::fmt::{self, Display, Formatter, Write};

/// Shows a message as `FLOW,HEX` of the records: `opc,dpc,si,ni,sls,cic,user data in hex`; the CIC is empty when it is not ISUP.
///
/// ```
/// use m3ua_lite::session::FlowRecord;
/// use m3ua_lite::wire::ProtocolData;
///
/// let iam = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 3, user_data: &[0x25, 0, 0x0c] };
/// assert_eq!(FlowRecord(&iam).to_string(), "1,2,5,2,3,37,25000c");
/// assert_eq!(FlowRecord(&ProtocolData { si: 3, ..iam }).to_string(), "1,2,3,2,3,,25000c");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FlowRecord<'a>(pub &'a ProtocolData<'a>);

impl Display for FlowRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ProtocolData { opc, dpc, si, ni, sls, user_data, .. } = *self.0;
        write!(f, "{opc},{dpc},{si},{ni},{sls},")?;
        if let (isup::SERVICE_INDICATOR, Some(cic)) = (si, isup::cic(user_data)) {
            write!(f, "{cic}")?;
        }
        f.write_char(',')?;
        // By hand: every message of a run comes through here.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for octet in user_data {
            f.write_char(DIGITS[usize::from(octet >> 4)].into())?;
            f.write_char(DIGITS[usize::from(octet & 15)].into())?;
        }
        Ok(())
    }
}
