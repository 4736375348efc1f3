"""Links into Stripe's dashboard."""


def dashboard_url(kind: str, object_id: str, account: str, *, livemode: bool) -> str:
    """A page of Stripe's dashboard; `kind` is payments, invoices or customers. '' when the id can be none."""
    if not object_id.replace("_", "").isalnum() or not object_id.isascii():
        return ""
    whose = f"{account}/" if account.startswith("acct_") and account.replace("_", "").isalnum() else ""
    return f"https://dashboard.stripe.com/{whose}{'' if livemode else 'test/'}{kind}/{object_id}"
