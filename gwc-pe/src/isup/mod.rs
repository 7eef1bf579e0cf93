//! ISUP call control of one circuit group (ITU-T Q.763, Q.764), pure.
