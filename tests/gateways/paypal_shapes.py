"""PayPal's published objects: every field that it documents, as types.

Sources: the OpenAPI documents at https://github.com/paypal/paypal-rest-api-specifications (checkout_orders_v2,
payments_payment_v2, notifications_webhooks_v1, customer_disputes_v1), shown at
https://developer.paypal.com/docs/api/orders/v2/, /payments/v2/, /webhooks/v1/ and /customer-disputes/v1/.
A field that nothing here uses is `Any`.
"""

import re
import typing
from typing import Any, Literal, NewType, TypedDict

Time = NewType("Time", str)
Decimals = NewType("Decimals", str)
Identifier = NewType("Identifier", str)
Patterns = {
    Time: re.compile(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
    ),
    Decimals: re.compile(r"((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))"),
    Identifier: re.compile(r"[A-Z0-9]{1,36}"),
}


class Money(TypedDict):
    currency_code: str
    value: Decimals


class Link(TypedDict, total=False):
    href: typing.Required[str]
    rel: typing.Required[str]
    method: Literal["GET", "POST", "PUT", "DELETE", "HEAD", "CONNECT", "OPTIONS", "PATCH"]


class RelatedIds(TypedDict, total=False):
    order_id: Identifier
    authorization_id: Identifier
    capture_id: Identifier


class SupplementaryData(TypedDict, total=False):
    related_ids: RelatedIds


class ProcessorResponse(TypedDict, total=False):
    avs_code: str
    cvv_code: str
    response_code: str
    payment_advice_code: str


class SellerProtection(TypedDict, total=False):
    status: Literal["ELIGIBLE", "PARTIALLY_ELIGIBLE", "NOT_ELIGIBLE"]
    dispute_categories: list[Literal["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"]]


class Reason(TypedDict, total=False):
    reason: str


class Payee(TypedDict, total=False):
    email_address: str
    merchant_id: str


class ReceivableBreakdown(TypedDict, total=False):
    gross_amount: Money
    paypal_fee: Money
    paypal_fee_in_receivable_currency: Money
    net_amount: Money
    receivable_amount: Money
    exchange_rate: Any
    platform_fees: Any


class PayableBreakdown(TypedDict, total=False):
    gross_amount: Money
    paypal_fee: Money
    paypal_fee_in_receivable_currency: Money
    net_amount: Money
    net_amount_in_receivable_currency: Money
    platform_fees: Any
    net_amount_breakdown: Any
    total_refunded_amount: Money


class Authorization(TypedDict, total=False):
    id: typing.Required[Identifier]
    status: typing.Required[Literal["CREATED", "CAPTURED", "DENIED", "PARTIALLY_CAPTURED", "VOIDED", "PENDING"]]
    status_details: Reason
    amount: typing.Required[Money]
    invoice_id: str
    custom_id: str
    network_transaction_reference: Any
    seller_protection: SellerProtection
    expiration_time: Time
    links: list[Link]
    processor_response: ProcessorResponse
    create_time: Time
    update_time: Time
    supplementary_data: SupplementaryData
    payee: Payee


class Capture(TypedDict, total=False):
    id: typing.Required[Identifier]
    status: typing.Required[Literal["COMPLETED", "DECLINED", "PARTIALLY_REFUNDED", "PENDING", "REFUNDED", "FAILED"]]
    status_details: Reason
    amount: typing.Required[Money]
    invoice_id: str
    custom_id: str
    network_transaction_reference: Any
    seller_protection: SellerProtection
    final_capture: bool
    seller_receivable_breakdown: ReceivableBreakdown
    disbursement_mode: str
    links: list[Link]
    processor_response: ProcessorResponse
    create_time: Time
    update_time: Time
    supplementary_data: SupplementaryData
    payee: Payee


class Refund(TypedDict, total=False):
    id: typing.Required[Identifier]
    status: typing.Required[Literal["CANCELLED", "FAILED", "PENDING", "COMPLETED"]]
    status_details: Reason
    amount: typing.Required[Money]
    invoice_id: str
    custom_id: str
    acquirer_reference_number: str
    note_to_payer: str
    seller_payable_breakdown: PayableBreakdown
    payer: Payee
    links: list[Link]
    create_time: Time
    update_time: Time


class Payments(TypedDict, total=False):
    authorizations: list[Authorization]
    captures: list[Capture]
    refunds: list[Refund]


class PurchaseUnit(TypedDict, total=False):
    reference_id: str
    amount: Money
    payee: Payee
    payment_instruction: Any
    description: str
    custom_id: str
    invoice_id: str
    id: str
    soft_descriptor: str
    items: Any
    shipping: Any
    supplementary_data: Any
    payments: Payments


class CardResponse(TypedDict, total=False):
    name: str
    last_digits: str
    available_networks: Any
    from_request: Any
    brand: str
    type: Literal["CREDIT", "DEBIT", "PREPAID", "STORE", "UNKNOWN"]
    authentication_result: Any
    attributes: Any
    expiry: str
    bin_details: Any


class PayPalResponse(TypedDict, total=False):
    email_address: str
    account_id: str
    account_status: Literal["VERIFIED", "UNVERIFIED"]
    name: Any
    phone_type: str
    phone_number: Any
    birth_date: str
    business_name: str
    tax_info: Any
    address: Any
    attributes: Any
    stored_credential: Any
    experience_status: str


class SourceResponse(TypedDict, total=False):
    card: CardResponse
    paypal: PayPalResponse


class Order(TypedDict, total=False):
    id: typing.Required[Identifier]
    status: typing.Required[Literal["CREATED", "SAVED", "APPROVED", "VOIDED", "COMPLETED", "PAYER_ACTION_REQUIRED"]]
    create_time: Time
    update_time: Time
    payment_source: SourceResponse
    intent: Literal["CAPTURE", "AUTHORIZE"]
    processing_instruction: str
    payer: Any
    purchase_units: list[PurchaseUnit]
    links: typing.Required[list[Link]]


class ErrorDetail(TypedDict, total=False):
    field: str
    value: str
    location: str
    issue: typing.Required[str]
    description: str


class Error(TypedDict, total=False):
    name: typing.Required[str]
    message: typing.Required[str]
    debug_id: typing.Required[str]
    details: list[ErrorDetail]
    links: list[Link]


class Event(TypedDict, total=False):
    id: typing.Required[str]
    create_time: typing.Required[Time]
    resource_type: str
    event_version: str
    event_type: typing.Required[str]
    summary: str
    resource_version: str
    resource: typing.Required[dict[str, Any]]
    links: list[Link]


class DisputedTransaction(TypedDict, total=False):
    buyer_transaction_id: str
    seller_transaction_id: str
    reference_id: str
    create_time: Time
    transaction_status: str
    gross_amount: Money
    invoice_number: str
    custom: str
    buyer: Any
    seller: Any
    items: Any
    seller_protection_eligible: bool


class Dispute(TypedDict, total=False):
    dispute_id: typing.Required[str]
    create_time: Time
    update_time: Time
    disputed_transactions: list[DisputedTransaction]
    reason: str
    status: str
    dispute_amount: Money
    dispute_outcome: Any
    seller_response_due_date: Time
    dispute_life_cycle_stage: str
    dispute_channel: str
    messages: Any
    links: list[Link]


class ApprovalReversed(TypedDict, total=False):
    order_id: typing.Required[Identifier]
    purchase_units: list[PurchaseUnit]
    payment_source: Any


class ExperienceContext(TypedDict, total=False):
    brand_name: str
    locale: str
    shipping_preference: Literal["GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"]
    return_url: str
    cancel_url: str
    landing_page: str
    user_action: Literal["CONTINUE", "PAY_NOW"]
    payment_method_preference: str


class VaultedCard(TypedDict):
    vault_id: str


class VaultCustomer(TypedDict, total=False):
    id: str
    merchant_customer_id: str


class VaultInstruction(TypedDict, total=False):
    store_in_vault: typing.Required[Literal["ON_SUCCESS"]]
    usage_type: typing.Required[Literal["MERCHANT", "PLATFORM"]]
    description: str
    customer_type: Literal["CONSUMER", "BUSINESS"]
    permit_multiple_payment_tokens: bool


class WalletAttributes(TypedDict, total=False):
    customer: VaultCustomer
    vault: VaultInstruction


class Wallet(TypedDict, total=False):
    vault_id: str
    experience_context: ExperienceContext
    attributes: WalletAttributes


class VaultResponse(TypedDict, total=False):
    id: str
    status: Literal["VAULTED", "CREATED", "APPROVED"]
    customer: VaultCustomer
    links: Any


class WalletAttributesResponse(TypedDict, total=False):
    vault: VaultResponse
    cobranded_cards: Any


class Token(TypedDict):
    id: str
    type: Literal["BILLING_AGREEMENT"]


class SourceRequest(TypedDict, total=False):
    card: VaultedCard
    paypal: Wallet
    token: Token


class PurchaseUnitRequest(TypedDict, total=False):
    reference_id: str
    amount: typing.Required[Money]
    custom_id: str
    invoice_id: str
    description: str
    soft_descriptor: str


class OrderRequest(TypedDict, total=False):
    intent: typing.Required[Literal["CAPTURE", "AUTHORIZE"]]
    purchase_units: typing.Required[list[PurchaseUnitRequest]]
    payment_source: SourceRequest


class OrderCaptureRequest(TypedDict, total=False):
    payment_source: SourceRequest


class Patch(TypedDict, total=False):
    op: typing.Required[Literal["add", "remove", "replace", "move", "copy", "test"]]
    path: str
    value: Any


class CaptureRequest(TypedDict, total=False):
    amount: Money
    invoice_id: str
    final_capture: bool
    note_to_payer: str
    soft_descriptor: str


class ReauthorizeRequest(TypedDict, total=False):
    amount: Money


class RefundRequest(TypedDict, total=False):
    amount: Money
    custom_id: str
    invoice_id: str
    note_to_payer: str
