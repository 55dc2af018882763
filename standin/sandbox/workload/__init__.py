"""People and batches at work on both systems, and a comparison of the two that knows no product code.

`traffic` runs players in threads: `ccb_people` (clerks), `cash_desk`, `prepaid_customers` (recharges),
`upload_runs` (the payment upload batch). `verify` compares CC&B with prepaid by queries of its own.
"""
