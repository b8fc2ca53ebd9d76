// Builds the console into static files whose names and bytes depend on nothing but the sources and the lock.
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** Packages whose code is in the output; their licences are shipped beside it. */
const SHIPPED = ["react", "react-dom", "scheduler"];

function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const texts = SHIPPED.map((name) => {
        const folder = new URL(`node_modules/${name}/`, import.meta.url);
        const { version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
        return `${name} ${version}\n\n${readFileSync(new URL("LICENSE", folder), "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("\n\n") });
    },
  };
}

/** React's messages point to a page on the internet: a site without one reads the number alone. */
function noAddresses(): Plugin {
  return {
    name: "no-addresses",
    transform(code, id) {
      return id.includes("node_modules/") && code.includes("https://react.dev/")
        ? { code: code.replace(/https:\/\/react\.dev\/(errors|link)\//g, "React, $1: "), map: null }
        : null;
    },
  };
}

export default defineConfig({
  base: "/ui/",
  esbuild: { legalComments: "none" },
  build: {
    target: "es2022",
    // No data: addresses but the ones in our own pages: the content security policy allows no script but files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: "console.js",
        chunkFileNames: "[name].js",
        assetFileNames: "console[extname]",
      },
    },
  },
  plugins: [noAddresses(), licences()],
});
