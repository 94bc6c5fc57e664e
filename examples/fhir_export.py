"""Await a FHIR bulk export, and save its files."""

from __future__ import annotations

import asyncio
import os

from pollwise import BearerAuth, JobWatcher
from pollwise.endpoints.fhir_bulk_data import BulkExport, BulkExportEndpoint, BulkFileEndpoint


async def main() -> None:
    base_url, auth = os.environ["FHIR_BASE_URL"], BearerAuth(os.environ["FHIR_TOKEN"])
    exports, files = BulkExportEndpoint(base_url, auth=auth), BulkFileEndpoint(base_url, auth=auth)
    async with JobWatcher(exports, timeout_s=86_400) as watcher, JobWatcher(files, timeout_s=3600) as loader:
        manifest = await watcher.watch(BulkExport(os.environ["FHIR_STATUS_URL"])).result()
        for file in manifest.output:
            path = f"{file.type}-{file.job.index}.ndjson"
            size = await loader.watch(file.job).save_result(path, max_bytes=10**9)
            print(path, size)


if __name__ == "__main__":
    asyncio.run(main())
