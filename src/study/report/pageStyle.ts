import { darkModeRules, fontFamily, page } from './theme.ts'

const variables = ({ surface, ink, muted, line }: (typeof page)['light' | 'dark']) =>
  `--surface:${surface};--ink:${ink};--muted:${muted};--line:${line}`

/** The report's style sheet: one column, light and dark, wide and narrow. */
export const pageStyle = `
:root{color-scheme:light dark;${variables(page.light)}}
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);font:16px/1.55 ${fontFamily};-webkit-text-size-adjust:100%}
main{max-width:900px;margin:0 auto;padding:48px 20px 64px}
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.012em;margin:0 0 8px}
h2{font-size:1.15rem;line-height:1.3;margin:56px 0 12px;padding-top:16px;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:28px 0 10px}
p,ul{margin:0 0 12px;max-width:70ch}
ul{padding-left:1.2em}
li{margin:0 0 6px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:0 44px;font-size:.9375rem;line-height:1.5}
.pair h2{margin-top:36px}
.lead{color:var(--muted);margin-bottom:28px}
.note{color:var(--muted);font-size:.875rem}
code{font:.9em ui-monospace,"SF Mono",Menlo,Consolas,monospace;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:0 0 12px}
table{border-collapse:collapse;font-size:.9375rem;font-variant-numeric:tabular-nums}
th,td{padding:6px 0 6px 22px;text-align:right;white-space:nowrap;font-weight:400}
th:first-child,td:first-child{padding-left:0}
.text{text-align:left}
thead th{color:var(--muted);font-size:.8125rem;vertical-align:bottom;padding-bottom:5px}
thead tr:last-child th{border-bottom:1px solid var(--ink)}
thead th[colspan]{text-align:center}
thead th[colspan] span{display:block;border-bottom:1px solid var(--line);padding-bottom:3px}
tbody tr+tr>*{border-top:1px solid var(--line)}
svg{display:block;width:100%;height:auto;overflow:visible}
figure svg{margin-left:-8px}
.key{display:inline-block;width:.75em;height:.75em;margin-right:.55em;vertical-align:-.02em}
figure{margin:0 0 48px}
figcaption{color:var(--muted);font-size:.875rem;max-width:78ch;margin-top:10px}
figcaption b{color:var(--ink);font-weight:600}
a{color:inherit;text-decoration-color:var(--muted);text-underline-offset:2px}
.narrow{display:none}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:24px 32px}
.grid svg,.narrow svg{max-width:400px}
details{margin:0 0 12px}
summary{cursor:pointer;padding:4px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 24px;margin:0;font-size:.9375rem}
dt{color:var(--muted)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
@media (max-width:680px){
main{padding:28px 16px 48px}
h1{font-size:1.4rem}
h2{margin-top:40px}
.pair{display:block}
.wide{display:none}
.narrow{display:block}
th,td{padding-left:16px}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:8px}
}
@media (prefers-color-scheme:dark){
:root{${variables(page.dark)}}
${darkModeRules('svg')}
}
@media print{main{max-width:none;padding:0}figure,tr{break-inside:avoid}}
`.trim()
