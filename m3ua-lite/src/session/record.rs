//! Messages and groups in the records of gateway, controllers and traffic sources.

use super::group::{GroupKey, NO_CIC_BLOCK};
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

/// Added to the group of dialogues in [`GroupRecord`]: no SLS is as high.
const DIALOGUES: u16 = 256;

/// Shows a group as `opc,dpc,si,block` of the records. The block is `CIC / 32` of ISUP, 256 and the six bits of a group of TCAP
/// dialogues, of what is left the SLS.
///
/// ```
/// use m3ua_lite::session::{GroupKey, GroupRecord, NO_CIC_BLOCK};
///
/// let circuits = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 9 };
/// assert_eq!(GroupRecord(&circuits).to_string(), "1,2,5,9");
/// assert_eq!(GroupRecord(&GroupKey { si: 3, ..circuits }).to_string(), "1,2,3,265");
/// assert_eq!(GroupRecord(&GroupKey { si: 3, sls: 7, cic_block: NO_CIC_BLOCK, ..circuits }).to_string(), "1,2,3,7");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GroupRecord<'a>(pub &'a GroupKey);

impl Display for GroupRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let GroupKey { opc, dpc, si, sls, cic_block } = *self.0;
        let block = match cic_block {
            NO_CIC_BLOCK => u16::from(sls),
            block if self.0.is_isup() => block,
            dialogues => DIALOGUES + dialogues,
        };
        write!(f, "{opc},{dpc},{si},{block}")
    }
}
