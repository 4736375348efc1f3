"""What is left to pay of an invoice, in SQL over the view `issued_invoice`."""

from typing import Final

_TOLD: Final = "toDecimal128OrZero(ifNull(properties.{}.:String, ''), 3)"
#: In major units. Rows of older versions do not tell what remains.
REMAINING: Final = (
    f"if(isNull(properties.AmountRemaining.:String), amount - {_TOLD.format('AmountPaid')}, "
    f"{_TOLD.format('AmountRemaining')})"
)
