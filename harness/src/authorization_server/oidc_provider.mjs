// Serves oidc-provider on loopback: node oidc_provider.mjs MODULE SETTINGS
import { readFile } from "node:fs/promises";

const [module, settings] = process.argv.slice(2);
const { Provider } = await import(module);
const { port, configuration } = JSON.parse(await readFile(settings, "utf8"));
new Provider(`http://127.0.0.1:${port}`, configuration).listen(port, "127.0.0.1");
