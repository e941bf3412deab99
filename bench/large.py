#!/usr/bin/env python3
"""Measures what must not grow with the number of opportunities, and what takes in and gives out many.

Run it as `make bench-large`. It needs nothing but Python and the release build; servers and data are its own, in target/large. What it prints is a part of bench/RESULTS.md.
"""

import argparse
import base64
import http.client
import io
import json
import time
import uuid
import zipfile
from xml.sax.saxutils import escape

from product import compare, forget, memory, needs_a_build, query, running


def page(product, rows):
    """The path of the page that begins after so many rows of a list."""
    path = "/opportunities?" + query(limit=200)
    cursor = None
    for _ in range(rows // 200):
        cursor = product.get(path + (f"&cursor={cursor}" if cursor else ""))["next_cursor"]
    return "/opportunities?" + query(limit=50, cursor=cursor)


def caught_up(product, behind):
    """The path of a client that has all but the last changes."""
    token = product.get("/sync?limit=50")["next"]
    place = json.loads(base64.urlsafe_b64decode(token + "=="))
    place.pop("w")
    place["p"] -= behind
    text = base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()
    return "/sync?" + query(limit=50, since=text.rstrip("="))


def reads(product):
    stage = product.get("/pipeline/stages")["items"][2]["name"]
    by_amount = query(stage=stage, sort_by="amount", limit=50)
    return {
        "page of 50 by stage and amount": f"/opportunities?{by_amount}",
        "page of 50 after 9,800 rows": page(product, 9_800),
        "search for two characters in a twelfth of all": "/opportunities?" + query(q="系統"),
        "search for four characters in a twelfth of all": "/opportunities?" + query(q="資料倉儲"),
        "search for two characters in one of 260": "/opportunities?" + query(q="隆零"),
        "search for four characters in one of 260": "/opportunities?" + query(q="東隆零售"),
        "search for what nobody has": "/opportunities?" + query(q="鑽石礦脈"),
        "the last two, by amount": "/opportunities?" + query(q="東隆零售", sort_by="amount"),
        "`/sync` with nothing new": caught_up(product, 0),
        "`/sync` with 50 changes": caught_up(product, 50),
        "overview": "/pipeline/overview",
    }


HEAD = ["opportunity_name", "customer_name", "contact_name", "contact_email", "stage", "amount", "expected_close_date", "external_id"]


def sheet(rows, prefix):
    yield HEAD
    for i in range(rows):
        stage = ("lead", "proposal", "negotiation")[i % 3]
        yield [f"系統導入案 {i}", f"客戶 {i % 5000}", f"聯絡人 {i % 7000}", f"c{i % 7000}@example.com", stage,
               str(i % 90000 + 0.5), f"2027-03-{i % 28 + 1:02d}", f"{prefix}-{i}"]


def csv(rows):
    return "\r\n".join(",".join(row) for row in rows).encode()


def xlsx(rows):
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    document = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(column, row, value):
        at = chr(65 + column) + str(row)
        if HEAD[column] == "amount" and row > 1:
            return f'<c r="{at}"><v>{value}</v></c>'
        return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    body = "".join(
        f'<row r="{number}">' + "".join(cell(column, number, value) for column, value in enumerate(row)) + "</row>"
        for number, row in enumerate(rows, 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{document}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{document}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{document}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return file.getvalue()


def take_in(product, form, rows, prefix):
    body = {"csv": csv, "xlsx": xlsx}[form](sheet(rows, prefix))
    boundary = uuid.uuid4().hex
    before = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.{form}"\r\n\r\n'
    form_data = before.encode() + body + f"\r\n--{boundary}--\r\n".encode()
    known = product.get("/pipeline/overview")["total_opportunities"]
    begun = time.perf_counter()
    headers = {**product.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, answer = product.send("POST", "/api/v1/imports", form_data, headers)
    assert status == 202, answer
    path = f"/imports/{json.loads(answer)['id']}?limit=1"
    while True:
        state = product.get(path)
        if state["status"] in ("done", "failed"):
            break
        time.sleep(0.1)
    assert state["created"] == rows, state
    took = time.perf_counter() - begun
    behind = time.perf_counter()
    # No `after=`: it waits for a while, and then answers what there is.
    while product.get("/pipeline/overview")["total_opportunities"] < known + rows:
        time.sleep(0.02)
    return took, time.perf_counter() - behind


def give_out(product, form):
    pids = {name: pid for name, pid in product.processes().items() if name in ("opportunities", "gateway")}
    before = {name: memory(pid, reset=True)[0] for name, pid in pids.items()}
    connection = http.client.HTTPConnection("127.0.0.1", product.port)
    begun = time.perf_counter()
    connection.request("GET", f"/api/v1/opportunities/export?format={form}", None, product.headers)
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    took = time.perf_counter() - begun
    grown = {name: (memory(pid)[1] - before[name]) / 1024 for name, pid in pids.items()}
    return took, size, grown


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="of what is imported")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    needs_a_build()
    with running(arguments.small, arguments.large) as (small, large):
        print(f"\nSmall is {arguments.small:,} opportunities, large {arguments.large:,}.\n")
        compare(small, large, reads, arguments.rounds)
        print("\n| export of all | s | rows/s | MiB | opportunities grew by MiB | gateway grew by MiB |")
        print("|--|--:|--:|--:|--:|--:|")
        for form in ("csv", "jsonl", "xlsx"):
            took, size, grown = give_out(large, form)
            rate = arguments.large / took
            print(f"| {form} | {took:.1f} | {rate:,.0f} | {size / 2**20:.0f} | {grown['opportunities']:.1f} | {grown['gateway']:.1f} |", flush=True)
        print(f"\n| import of {arguments.rows:,} rows | s | rows/s | s later in the read model |")
        print("|--|--:|--:|--:|")
        for product, name, form in (
            (large, "csv, into the large one", "csv"),
            (large, "csv, another one", "csv"),
            (large, "xlsx, into the large one", "xlsx"),
            (small, "csv, into the small one", "csv"),
        ):
            took, behind = take_in(product, form, arguments.rows, uuid.uuid4().hex)
            print(f"| {name} | {took:.1f} | {arguments.rows / took:,.0f} | {behind:.1f} |", flush=True)
            product.rest()
    # They are others now.
    forget(arguments.small)
    forget(arguments.large)


main()
