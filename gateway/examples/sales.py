"""What a sales team in Taiwan asks of the product, day in, day out: every operation about sales, once at least."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

from recorder import Person, Recorder

ZH = {"name": "zh-TW"}
EN = {"name": "en"}
SHEET = """商機名稱,客戶,聯絡人,階段,金額,預計成交日,外部編號
智慧產線監控系統,宏遠精密工業股份有限公司,林志明,方案提案,3600000,{close},ERP-2051
辦公室網路汰換,宏遠精密工業股份有限公司,林志明,需求確認,850000,{close},ERP-2052
倉儲機器人導入,永信物流股份有限公司,許雅雯,潛在客戶,壹佰萬,{close},ERP-2053
"""
MAPPING = {
    "商機名稱": "opportunity_name",
    "客戶": "customer_name",
    "聯絡人": "contact_name",
    "階段": "stage",
    "金額": "amount",
    "預計成交日": "expected_close_date",
    "外部編號": "external_id",
}


def key(number: int) -> dict[str, str]:
    """A key under which a request is answered once."""
    return {"Idempotency-Key": f"6f1d2c9a-0000-4000-8000-{number:012}"}


def opportunities(it: Recorder, wang: Person, emma: Person, manager: Person, admin: Person) -> dict[str, Any]:
    """Made, moved, changed, listed, taken out."""
    close = str(date.today() + timedelta(days=45))
    made = it.ask(
        wang, "POST /opportunities", **ZH, says="王小明記下一筆新商機", status=201, headers=key(1),
        json_body={
            "customer_name": "宏遠精密工業股份有限公司", "contact_name": "林志明",
            "contact_email": "lin.cm@hongyuan.example", "opportunity_name": "軟體授權採購",
            "stage": "潛在客戶", "amount": 300000, "probability": 25, "expected_close_date": close,
            "products": ["年度授權", "導入服務"], "source": "台北國際電腦展", "tags": ["製造業"],
            "notes": "資訊部編列今年預算，希望年底前上線。",
        },
    ).body
    it.ask(
        emma, "POST /opportunities", **EN, says="Emma Wilson notes down a deal in US dollars, line by line",
        status=201, headers=key(2),
        json_body={
            "customer_name": "Pacific Rim Logistics Ltd.", "contact_name": "Grace Tanaka",
            "contact_email": "grace.tanaka@pacificrim.example",
            "opportunity_name": "Warehouse tracking, phase 1", "stage": "proposal", "currency": "USD",
            "expected_close_date": close, "forecast_category": "best_case",
            "line_items": [
                {"name": "Handheld scanner", "quantity": 40, "unit_price": 320.5, "discount": 10},
                {"name": "Annual licence", "unit_price": 9800},
            ],
        },
    )
    at = {"id": made["id"]}
    it.ask(wang, "GET /opportunities/{id}", path=at, **ZH, says="一筆商機")
    it.ask(
        wang, "PATCH /opportunities/{id}", path=at, headers={"If-Match": '"v1"'}, **ZH,
        says="修改金額並清除備註，且只在版本仍為 v1 時",
        json_body={"amount": 420000, "notes": None, "waiting_until": str(date.today() + timedelta(days=10))},
    )
    it.ask(
        wang, "PATCH /opportunities/{id}", path=at, **EN, kind="application/merge-patch+json",
        says="Add tags; whatever is not named stays", json_body={"tags": ["製造業", "renewal"]},
    )
    it.ask(
        wang, "PATCH /opportunities/{id}/stage", path=at, **ZH, says="需求訪談之後往前一個階段",
        json_body={"stage": "需求確認", "probability": 40, "notes": "需求訪談完成，預算確認"},
    )
    it.ask(
        wang, "PATCH /opportunities/{id}/stage", path=at, **EN,
        says="By the key of the stage, with its default probability",
        json_body={"stage": "negotiation", "notes": "Legal is reading the contract."},
    )
    won = it.ask(
        wang, "PATCH /opportunities/{id}/stage", path=at, name="won", says="成交：機率 100，成交日為今天",
        headers={"If-Match": '"v5"'}, json_body={"stage": "成交", "notes": "合約已用印寄回"},
    ).body
    it.ask(wang, "GET /opportunities/{id}/history", path=at, **ZH, says="這筆商機走過的階段")
    it.ask(admin, "GET /opportunities/{id}/access", path=at, query={"limit": 3}, **EN, says="The first three people")
    it.ask(
        wang, "GET /opportunities", **ZH, says="自己進行中的商機，金額最大的兩筆",
        query={"owner_id": wang.id, "status": "open", "sort_by": "amount", "order": "desc", "limit": 2, "include_total": "true"},
    )
    it.ask(
        emma, "GET /opportunities", **EN, says="In two stages, expected to close soon, found by a word",
        query={"stage": ["proposal", "negotiation"], "expected_close_to": close, "q": "warehouse", "limit": 1},
    )
    it.ask(
        wang, "PUT /opportunities/by-external-id/{external_id}", path={"external_id": "ERP-1001"}, **ZH, status=201,
        says="另一個系統的商機：沒有就新增",
        json_body={"customer_name": "永信物流股份有限公司", "opportunity_name": "車隊管理平台", "amount": 1250000},
    )
    second = it.ask(
        wang, "PUT /opportunities/by-external-id/{external_id}", path={"external_id": "ERP-1001"}, **EN,
        says="There is one: what is named is changed", json_body={"amount": 1300000, "stage": "qualification"},
    ).body
    it.ask(
        manager, "POST /opportunities/bulk", **ZH, says="主管一次調整兩筆，其中一筆已不存在", headers=key(3),
        json_body={"updates": [
            {"id": second["id"], "owner_id": emma.id, "notes": "北區重新分配"},
            {"id": 999999, "stage": "失敗", "lost_reason": "預算取消"},
        ]},
    )
    gone = it.ask(
        wang, "POST /opportunities", status=201,
        json_body={"customer_name": "好日子文創有限公司", "opportunity_name": "會員系統", "amount": 90000},
    ).body
    gone_at = {"id": gone["id"]}
    it.ask(wang, "DELETE /opportunities/{id}", path=gone_at, headers={"If-Match": '"v1"'}, status=204, **ZH, says="刪除，可以復原")
    it.ask(wang, "POST /opportunities/{id}/restore", path=gone_at, headers=key(4), **ZH, says="復原剛刪除的商機")
    for form in ("csv", "jsonl"):
        it.ask(
            wang, "GET /opportunities/export", name=form, says=f"format={form}：今年由台北國際電腦展帶來的商機",
            query={"source": "台北國際電腦展", "format": form},
        )
    return {"won": won, "open": second, "gone": gone}


def activities(it: Recorder, wang: Person, manager: Person, opportunity: dict[str, Any]) -> None:
    """What was done and is to be done about an opportunity."""
    at = {"id": opportunity["id"]}
    today = datetime.now(timezone(timedelta(hours=8))).date()
    made = it.ask(
        wang, "POST /opportunities/{id}/activities", path=at, status=201, headers=key(5), **ZH, says="今天晚上的電話，並提到主管",
        json_body={
            "activity_type": "call", "subject": "電話確認預算", "scheduled_at": f"{today}T15:30:00Z",
            "description": f"請 @[{manager.id}] 一起參加。",
        },
    ).body
    it.ask(
        wang, "POST /opportunities/{id}/activities", path=at, status=201, **EN, says="A comment",
        json_body={"activity_type": "note", "subject": "Competitor quoted 5 % less."},
    )
    own = {"id": made["id"]}
    it.ask(wang, "GET /opportunities/{id}/activities", path=at, query={"activity_type": ["call", "note"], "limit": 2}, **ZH, says="電話與備註")
    it.ask(wang, "GET /activities", query={"due": "today", "owner_id": wang.id, "limit": 2}, **ZH, says="今天待辦")
    it.ask(wang, "GET /activities/{id}", path=own, **ZH, says="一項活動")
    it.ask(
        wang, "PATCH /activities/{id}", path=own, headers={"If-Match": made_tag(made)}, **ZH, says="完成了",
        json_body={"completed_at": f"{date.today()}T00:30:00Z"},
    )
    it.ask(wang, "DELETE /activities/{id}", path=own, status=204, **ZH, says="刪除活動")
    it.ask(wang, "POST /activities/{id}/restore", path=own, headers=key(6), **ZH, says="復原活動")


def made_tag(record: dict[str, Any]) -> str:
    """The `ETag` of what was answered."""
    return f'"v{record["version"]}"'


def customers(it: Recorder, admin: Person, wang: Person) -> None:
    """Customers and the people there, merged and erased."""
    body = {"name": "晶睿電子股份有限公司", "industry": "電子零組件", "email": "info@jingrui.example", "phone": "+886 2 5555 0100"}
    made = it.ask(wang, "POST /customers", status=201, headers=key(7), **ZH, says="新客戶", json_body=body).body
    it.ask(
        wang, "POST /customers", status=201, **EN, says="A customer abroad",
        json_body={"name": "Harbour Foods Pte. Ltd.", "company": "Harbour Foods", "industry": "Food"},
    )
    other = it.ask(wang, "POST /customers", status=201, json_body={"name": "晶睿電子（股）公司", "phone": "+886 2 5555 0100"}).body
    at = {"id": made["id"]}
    it.ask(wang, "GET /customers", query={"q": "晶睿", "sort_by": "name", "limit": 2}, **ZH, says="依名稱尋找客戶")
    it.ask(wang, "GET /customers/{id}", path=at, **ZH, says="一個客戶")
    it.ask(wang, "PATCH /customers/{id}", path=at, headers={"If-Match": '"v1"'}, **ZH, says="補上公司名稱", json_body={"company": "晶睿電子"})
    it.ask(wang, "GET /customers/duplicates", query={"limit": 2}, **ZH, says="可能重複的客戶")
    person = it.ask(
        wang, "POST /customers/{id}/contacts", path=at, status=201, headers=key(8), **ZH, says="採購窗口",
        json_body={"name": "周美玲", "email": "chou@jingrui.example", "phone": "+886 912 000 000", "title": "採購經理"},
    ).body
    it.ask(wang, "GET /customers/{id}/contacts", path=at, query={"limit": 2}, **ZH, says="這個客戶的聯絡人")
    own = {"id": person["id"]}
    it.ask(wang, "GET /contacts/{id}", path=own, **ZH, says="一位聯絡人")
    it.ask(wang, "PATCH /contacts/{id}", path=own, headers={"If-Match": '"v1"'}, **ZH, says="升職", json_body={"title": "採購協理"})
    it.ask(wang, "POST /customers/{id}/merge", path=at, headers=key(9), **ZH, says="把另一筆併入", json_body={"from_id": other["id"]})
    it.refused(wang, "PATCH /customers/{id}", 409, "customer_merged", path={"id": other["id"]}, json_body={"company": "晶睿"})
    it.refused(wang, "DELETE /customers/{id}", 409, "customer_merged", path={"id": other["id"]})
    it.refused(wang, "POST /customers/{id}/contacts", 409, "contact_exists", path=at, json_body={"name": "周小姐", "email": "chou@jingrui.example"})
    it.ask(wang, "POST /customers/{id}/unmerge", path=at, headers=key(10), **ZH, says="取消合併", json_body={"from_id": other["id"]})
    it.ask(wang, "DELETE /customers/{id}", path={"id": other["id"]}, headers={"If-Match": '"v3"'}, status=204, **ZH, says="刪除沒有商機的客戶")
    it.ask(wang, "POST /customers/{id}/restore", path={"id": other["id"]}, headers=key(11), **ZH, says="復原客戶")
    spare = it.ask(wang, "POST /customers/{id}/contacts", path=at, status=201, json_body={"name": "Jason Lee"}).body
    it.ask(wang, "DELETE /contacts/{id}", path={"id": spare["id"]}, status=204, **EN, says="Delete a contact")
    it.ask(admin, "POST /contacts/{id}/erase", path=own, headers=key(12), **ZH, says="依個資法請求刪除一個人的資料")


def imports(it: Recorder, wang: Person) -> None:
    """A spreadsheet is tried, brought in, watched and undone."""
    sheet = SHEET.format(close=date.today() + timedelta(days=60))
    files = {"file": ("商機.csv", sheet), "mapping": ("", json.dumps(MAPPING, ensure_ascii=False))}
    tried = it.ask(
        wang, "POST /imports", status=202, name="dry_run", says="先試跑，不寫入任何資料", files={**files, "dry_run": ("", "true")},
    ).body
    done = {"done", "failed"}
    it.wait(lambda: it.ask(wang, "GET /imports/{id}", path={"id": tried["id"]}).body["status"] in done)
    made = it.ask(wang, "POST /imports", status=202, headers=key(13), **ZH, says="匯入三列，其中一列金額有誤，欄位自行對應", files=files).body
    english = "customer_name,opportunity_name,stage,amount,external_id\nPacific Rim Logistics Ltd.,Dock scheduling,lead,75000,CRM-4712\n"
    it.ask(
        wang, "POST /imports", status=202, **EN, says="Columns that are named as fields need no mapping",
        files={"file": ("deals.csv", english), "mode": ("", "all_or_nothing")},
    )
    at = {"id": made["id"]}
    it.wait(lambda: it.ask(wang, "GET /imports/{id}", path=at).body["status"] in done)
    it.ask(wang, "GET /imports/{id}", path=at, query={"limit": 3}, **ZH, says="匯入結果，逐列說明")
    it.ask(wang, "GET /imports/{id}", path={"id": tried["id"]}, query={"row_status": "failed"}, name="dry_run", says="試跑中有問題的列")
    it.ask(wang, "GET /imports/{id}/stream", path=at, **ZH, says="已完成：只有一個事件")
    it.refused(wang, "POST /imports/{id}/undo", 409, "nothing_to_undo", path={"id": tried["id"]})
    it.ask(wang, "POST /imports/{id}/undo", path=at, status=202, headers=key(14), **ZH, says="復原整份匯入")
    it.refused(wang, "POST /imports", 415, "unsupported_media_type", json_body={})
    it.refused(wang, "POST /imports", 422, "invalid", files={"dry_run": ("", "true")})


def sync(it: Recorder, wang: Person) -> None:
    """Keeping a copy."""
    first = it.ask(wang, "GET /sync", query={"limit": 2}, name="first", says="The beginning: all that there is, a page at a time")
    it.ask(wang, "GET /sync", query={"since": first["next"], "limit": 1}, name="since", says="接著上一次的 next 繼續")
    it.refused(wang, "GET /sync", 400, "cursor_invalid", query={"since": "nonsense"})


def numbers(it: Recorder, manager: Person, admin: Person, wang: Person, written: dict[str, Any]) -> None:
    """The funnel, the forecast and the reports."""
    today = date.today()
    year, quarter = today.year, (today.month + 2) // 3
    after = f"{written['id']}:{written['version']}"
    of = {"period": "quarter", "year": year, "quarter": quarter}
    # The model has learned of all that there is, whenever it happened to begin.
    it.wait(lambda: it.ask(admin, "GET /pipeline/overview", query={"after": after})["as_of"] >= written["updated_at"])
    it.command("analytics", "train")
    it.ask(manager, "GET /pipeline/overview", query={"after": after}, **ZH, says="整個漏斗，且已包含剛剛的異動")
    it.ask(manager, "GET /pipeline/overview", query={"owner_id": wang.id}, name="owner", says="王小明的漏斗")
    plan(it, manager, admin, wang, of)
    it.ask(manager, "GET /forecast", query=of, **ZH, says="本季預測")
    it.ask(manager, "GET /forecast", query={"period": "month", "owner_id": wang.id}, **EN, says="One person, the current month")
    it.ask(manager, "GET /forecast/breakdown", query={**of, "by": "team"}, **ZH, says="依團隊")
    it.ask(manager, "GET /forecast/opportunities", query={"owner_id": wang.id, "limit": 2}, **ZH, says="兩筆商機的成交機會與理由")
    it.ask(manager, "GET /forecast/history", query={"period": "month", "year": year, "month": today.month}, **ZH, says="本月預測的變化")
    it.ask(manager, "GET /forecast/accuracy", query={"period": "month"}, **EN, says="How past forecasts of months did")
    it.ask(manager, "GET /forecast/attainment", query={**of, "owner_id": wang.id}, **ZH, says="王小明本季達成狀況")
    it.ask(manager, "GET /forecast/attainment", query={**of, "by": "owner", "team_id": 1}, **EN, says="A team with its people")
    since = {"start_date": f"{year - 1}-01-01", "end_date": f"{year - 1}-12-31"}
    reports: list[tuple[str, str, dict[str, Any], str, str]] = [
        ("conversion-rate", "zh-TW", since, "去年各階段轉換率", "Conversion of last year"),
        ("sales-trend", "zh-TW", {"period": "quarterly", "year": year}, "今年各季走勢", "The quarters of this year"),
        ("sales-performance", "zh-TW", {**of, "owner_id": wang.id}, "王小明本季業績", "One person this quarter"),
        ("loss-reasons", "zh-TW", {**since, "owner_id": wang.id}, "去年失敗原因", "Why last year's deals were lost"),
        ("velocity", "zh-TW", since, "去年銷售速度", "Sales velocity of last year"),
        ("stage-duration", "zh-TW", since, "各階段停留時間", "How long deals stay in stages"),
        ("cohorts", "zh-TW", {"period": "quarterly", "months": 2, "start_date": f"{year}-01-01"}, "各季新增商機的結果", "Cohorts by quarter"),
        ("activities", "zh-TW", {"start_date": f"{today.replace(day=1)}", "owner_id": wang.id}, "本月活動量", "Activities of this month"),
    ]
    for report, name, query, says, english in reports:
        it.ask(manager, f"GET /reports/{report}", query=query, name=name, says=says)
        it.ask(manager, f"GET /reports/{report}", query={**query, "format": "csv"}, name="csv", says=f"{english}, as a file")
    changes = {"from": str(today - timedelta(days=7)), "to": str(today)}
    it.ask(manager, "GET /reports/pipeline-changes", query=changes, **ZH, says="這一週漏斗的變化")
    it.ask(manager, "GET /reports/pipeline-changes", query={**changes, "format": "csv"}, name="csv", says="The same as a file")
    it.ask(manager, "GET /reports/pipeline-changes/opportunities", query={**changes, "term": "created", "limit": 2}, **ZH, says="這一週新增的商機")
    it.ask(
        manager, "GET /reports/{report}/opportunities", path={"report": "sales-trend"}, **ZH, says="今年第一季成交的商機",
        query={"term": "won", "period": f"{year}-Q1", "limit": 2},
    )
    it.ask(
        manager, "GET /reports/{report}/opportunities", path={"report": "loss-reasons"}, **EN, says="Deals behind a lost reason",
        query={**since, "lost_reason": "價格過高", "limit": 1},
    )
    it.refused(manager, "GET /reports/{report}/opportunities", 404, "not_found", path={"report": "nothing"})
    it.refused(wang, "GET /forecast/adjustments", 403, "denied")


def plan(it: Recorder, manager: Person, admin: Person, wang: Person, of: dict[str, Any]) -> None:
    """Targets, and what is expected beside the model."""
    target = it.ask(
        manager, "PUT /targets", **ZH, says="王小明本季目標", json_body={**of, "owner_id": wang.id, "amount": 6000000},
    ).body
    it.ask(admin, "PUT /targets", **EN, says="The organisation's year", json_body={"period": "year", "year": of["year"], "amount": 240000000})
    it.ask(manager, "GET /targets", query={**of, "limit": 2}, **ZH, says="本季目標")
    it.ask(manager, "GET /targets/{id}", path={"id": target["id"]}, **ZH, says="一個目標")
    it.refused(wang, "PUT /targets", 403, "denied", json_body={**of, "amount": 1})
    it.refused(manager, "DELETE /targets/{id}", 412, "stale", path={"id": target["id"]}, headers={"If-Match": '"v9"'})
    adjusted = it.ask(
        manager, "PUT /forecast/adjustments", **ZH, says="主管的判斷：大客戶可能延後",
        json_body={**of, "owner_id": wang.id, "amount": -500000, "note": "宏遠精密的驗收可能延到下一季"},
    ).body
    at = {"id": adjusted["id"]}
    it.ask(manager, "GET /forecast/adjustments", query={**of, "limit": 2}, **ZH, says="本季的調整")
    it.ask(manager, "GET /forecast/adjustments/{id}", path=at, **ZH, says="一項調整")
    it.ask(manager, "GET /forecast/adjustments/{id}/history", path=at, query={"limit": 2}, **ZH, says="它的每個版本")


def unplan(it: Recorder, manager: Person) -> None:
    """What was planned goes again."""
    target = it.ask(manager, "GET /targets", query={"limit": 200}).body["items"]
    target = next(one for one in target if one["owner_id"])
    it.ask(manager, "DELETE /targets/{id}", path={"id": target["id"]}, headers={"If-Match": '"v1"'}, status=204, **ZH, says="取消目標")
    adjusted = it.ask(manager, "GET /forecast/adjustments").body["items"][0]
    it.ask(manager, "DELETE /forecast/adjustments/{id}", path={"id": adjusted["id"]}, headers={"If-Match": '"v1"'}, status=204, **ZH, says="取消調整")
