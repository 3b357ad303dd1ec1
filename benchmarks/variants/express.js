// Serves the Express variants, all in one process: node express.js FILE, with NODE_PATH where express is.
const fs = require("fs");
const express = require("express");
for (const v of JSON.parse(fs.readFileSync(process.argv[2]))) {
  const app = express();
  for (const r of v.routes)
    for (const m of r.methods)
      app[m.toLowerCase()](r.path, (req, res) => {
        if (m === "POST" && v.keyed && req.headers["x-api-key"] !== "lab") return res.status(401).end();
        res.type(r.media).send(typeof r.gives === "string" ? r.gives : JSON.stringify(r.gives));
      });
  if (v.json404) app.use((req, res) => res.status(404).json({ error: "not found" }));
  app.listen(v.port, v.address);
}
