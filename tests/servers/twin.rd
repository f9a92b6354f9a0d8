<!-- What DaCHS publishes of the data that twin_data.py writes; read by dachs.sh. -->
<resource schema="twin" resdir="twin">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="description">Made-up data that two servers publish alike.</meta>
  <meta name="subject">surveys</meta>
  <meta name="creator">jupyter_astroml tests</meta>
  <meta name="title">Twin</meta>
  <meta name="ssap.dataSource">artificial</meta>
  <meta name="ssap.creationType">archival</meta>
  <meta name="productType">spectrum</meta>
  <meta name="ssap.testQuery">MAXREC=1</meta>

  <table id="sources" onDisk="True" mixin="//scs#q3cindex" adql="True">
    <primary>id</primary>
    <stc>Position ICRS "ra" "dec"</stc>
    <column name="id" type="bigint" ucd="meta.id;meta.main" required="True" description="Source"/>
    <column name="ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main" description="Right ascension, ICRS"/>
    <column name="dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main" description="Declination, ICRS"/>
    <column name="gmag" type="double precision" unit="mag" ucd="phot.mag;em.opt.B" description="Magnitude in g"/>
    <column name="redshift" type="double precision" ucd="src.redshift" description="Redshift, of galaxies"/>
    <column name="objclass" type="unicode" ucd="src.class" description="Class"/>
  </table>
  <data id="import_sources">
    <sources>data/sources.csv</sources>
    <csvGrammar enc="utf-8"/>
    <make table="sources">
      <rowmaker idmaps="*">
        <map dest="redshift">parseWithNull(@redshift, float, "")</map>
      </rowmaker>
    </make>
  </data>
  <service id="cone" allowed="form,scs.xml">
    <meta name="shortName">twin cone</meta>
    <meta name="testQuery"><meta name="ra">150</meta><meta name="dec">2.2</meta><meta name="sr">0.2</meta></meta>
    <publish render="scs.xml" sets="ivo_managed"/>
    <scsCore queriedTable="sources"><FEED source="//scs#coreDescs"/></scsCore>
  </service>

  <table id="images" onDisk="True" mixin="//siap#pgs" adql="True">
    <mixin calibLevel="2" collectionName="'twin'" targetName="object" expTime="exptime"
      facilityName="'none'" instrumentName="'none'">//obscore#publishSIAP</mixin>
    <column name="object" type="text" ucd="meta.id;src" description="Target"/>
    <column name="exptime" unit="s" ucd="time.duration;obs.exposure" description="Exposure"/>
    <column name="pub_did" type="text" ucd="meta.ref.ivoid" description="Dataset"/>
    <meta name="_associatedDatalinkService">
      <meta name="serviceId">dl</meta>
      <meta name="idColumn">pub_did</meta>
    </meta>
  </table>
  <data id="import_images">
    <sources pattern="data/images/*.fits"/>
    <fitsProdGrammar>
      <!-- Rows of images lead to their links, as in most archives. -->
      <rowfilter procDef="//products#define">
        <bind key="table">"\schema.images"</bind>
        <bind key="path">\dlMetaURI{dl}</bind>
        <bind key="mime">"application/x-votable+xml;content=datalink"</bind>
      </rowfilter>
    </fitsProdGrammar>
    <make table="images">
      <rowmaker>
        <apply procDef="//siap#setMeta">
          <bind key="dateObs">@DATE_OBS</bind>
          <bind key="bandpassId">@FILTER</bind>
          <bind key="pixflags">"F"</bind>
          <bind key="title">@OBJECT</bind>
        </apply>
        <apply procDef="//siap#getBandFromFilter"/>
        <apply procDef="//siap#computePGS"/>
        <map key="object">@OBJECT</map>
        <map key="exptime">@EXPTIME</map>
        <map key="pub_did">\standardPubDID</map>
      </rowmaker>
    </make>
  </data>
  <service id="dl" allowed="dlget,dlmeta">
    <meta name="title">Links and cutouts</meta>
    <datalinkCore id="links">
      <descriptorGenerator procDef="//soda#fits_genDesc" name="genFITSDesc">
        <bind key="accrefPrefix">'twin/data/images'</bind>
        <bind key="descClass">DLFITSProductDescriptor</bind>
      </descriptorGenerator>
      <FEED source="//soda#fits_standardDLFuncs"/>
    </datalinkCore>
  </service>

  <!-- The same for one user alone. -->
  <service id="locked" allowed="dlget,dlmeta" core="links" limitTo="astronomer">
    <meta name="title">Links and cutouts, with a password</meta>
  </service>

  <table id="raw_spectra" onDisk="True" adql="hidden" namePath="//ssap#instance">
    <LOOP listItems="ssa_dateObs ssa_dstitle ssa_targname ssa_length ssa_specres ssa_timeExt ssa_specstart ssa_specend">
      <events><column original="\item"/></events>
    </LOOP>
    <mixin>//products#table</mixin>
    <mixin>//ssap#plainlocation</mixin>
  </table>
  <data id="import_spectra">
    <recreateAfter>make_view</recreateAfter>
    <sources pattern="data/spectra/*.fits"/>
    <fitsProdGrammar qnd="True">
      <rowfilter procDef="//products#define">
        <bind key="table">"\schema.raw_spectra"</bind>
        <bind key="mime">"application/fits"</bind>
      </rowfilter>
    </fitsProdGrammar>
    <make table="raw_spectra">
      <rowmaker idmaps="*">
        <var key="specAx">getWCSAxis(@header_, 1)</var>
        <apply procDef="//ssap#fill-plainlocation">
          <bind key="ra">@RA</bind><bind key="dec">@DEC</bind><bind key="aperture">1/3600.</bind>
        </apply>
        <map key="ssa_dateObs">dateTimeToMJD(parseTimestamp(@DATE_OBS, "%Y-%m-%dT%H:%M:%S"))</map>
        <map key="ssa_dstitle">@OBJECT</map>
        <map key="ssa_targname">@OBJECT</map>
        <map key="ssa_specstart">@specAx.pixToPhys(1)*1e-10</map>
        <map key="ssa_specend">@specAx.pixToPhys(@specAx.axisLength)*1e-10</map>
        <map key="ssa_length">@specAx.axisLength</map>
        <map key="ssa_timeExt">@EXPTIME</map>
        <map key="ssa_specres">8e-10</map>
      </rowmaker>
    </make>
  </data>
  <table id="spectra" onDisk="True" adql="True">
    <mixin sourcetable="raw_spectra" copiedcolumns="*"
      ssa_aperture="1/3600." ssa_fluxunit="''" ssa_spectralunit="'Angstrom'"
      ssa_bandpass="'Optical'" ssa_collection="'twin'" ssa_fluxcalib="'RELATIVE'"
      ssa_fluxucd="'phot.flux.density;em.wl'" ssa_speccalib="'CALIBRATED'"
      ssa_spectralucd="'em.wl'" ssa_targclass="'galaxy'">//ssap#view</mixin>
    <mixin calibLevel="2" sResolution="ssa_spaceres" oUCD="ssa_fluxucd" emUCD="ssa_spectralucd">//obscore#publishSSAPMIXC</mixin>
  </table>
  <data id="make_view" auto="False"><make table="spectra"/></data>
  <service id="ssa" allowed="ssap.xml">
    <meta name="shortName">twin SSAP</meta>
    <meta name="ssap.complianceLevel">query</meta>
    <publish render="ssap.xml" sets="ivo_managed"/>
    <ssapCore queriedTable="spectra"><FEED source="//ssap#hcd_condDescs"/></ssapCore>
  </service>
</resource>
